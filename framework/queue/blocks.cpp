#include "queue/blocks.h"

#include <unistd.h>

#include <algorithm>
#include <bit>

#include <troupe/errors.h>

#include "os/check_call.h"

namespace troupe::queue {
namespace {

enum class State : std::uint16_t { free = 0, writing = 1, queued = 2 };

constexpr std::uint64_t state_word(std::uint64_t generation, Owner owner, State state) {
  return generation << 32 | std::uint64_t{owner & 0xffff} << 16 | static_cast<std::uint64_t>(state);
}
constexpr std::uint64_t generation_of(std::uint64_t word) { return word >> 32; }  // of a state and of a BlockId
constexpr State state_of(std::uint64_t word) { return static_cast<State>(word & 0xffff); }

constexpr std::uint64_t kBlockKeptMax = std::uint64_t{1} << 20;

constexpr std::uint32_t kIndexBits = 27;
constexpr BlockId block_id(std::uint64_t generation, std::uint32_t size_class, std::uint32_t index) {
  return generation << 32 | std::uint64_t{size_class} << kIndexBits | index;
}
constexpr std::uint32_t class_of(BlockId block) { return static_cast<std::uint32_t>(block) >> kIndexBits; }
constexpr std::uint32_t index_of(BlockId block) { return static_cast<std::uint32_t>(block) & ((1U << kIndexBits) - 1); }

std::uint64_t class_bytes(const QueueMemory& memory, std::uint32_t size_class) {
  return std::uint64_t{1} << (memory.constants.block_shift + size_class);
}
std::uint32_t class_count(const QueueMemory& memory, std::uint32_t size_class) {
  return static_cast<std::uint32_t>(memory.constants.blocks_bytes / class_bytes(memory, size_class));
}
bool exists(const QueueMemory& memory, BlockId block) {
  return class_of(block) < memory.constants.block_classes && index_of(block) < class_count(memory, class_of(block));
}
// Each class has half as many blocks as the one before, so their states begin after 2·n − 2·n_of_this_class others.
std::uint64_t state_index(const QueueMemory& memory, std::uint32_t size_class, std::uint32_t index) {
  return 2 * std::uint64_t{class_count(memory, 0)} - 2 * std::uint64_t{class_count(memory, size_class)} + index;
}
Word& state(const QueueMemory& memory, std::uint32_t size_class, std::uint32_t index) {
  return memory.block_state(state_index(memory, size_class, index));
}
Word& state(const QueueMemory& memory, BlockId block) { return state(memory, class_of(block), index_of(block)); }

std::uint64_t offset_of(const QueueMemory& memory, BlockId block) {
  return memory.geometry.blocks + class_of(block) * memory.constants.blocks_bytes + index_of(block) * class_bytes(memory, class_of(block));
}
// Also while it is free.
bool keeps_memory(const QueueMemory& memory, std::uint32_t size_class, std::uint32_t index) {
  return index < memory.constants.blocks_kept && class_bytes(memory, size_class) <= kBlockKeptMax;
}
std::uint32_t used_of(const QueueMemory& memory, std::uint32_t size_class) {
  return std::min(memory.control().blocks[size_class].used.load(std::memory_order_acquire), class_count(memory, size_class));
}

template <class Call>
void move_all(Call call, const char* name, std::uint64_t offset, std::size_t size) {
  for (std::size_t done = 0; done < size;) {
    const ssize_t moved = os::check_call(os::retry_interrupted([&] { return call(done, static_cast<off_t>(offset + done)); }), name);
    if (moved == 0) throw ProtocolError("a queue's memory ends too early");
    done += static_cast<std::size_t>(moved);
  }
}

// What the kernel does not let go stays for the block's next item: nobody loses an item over it.
void give_back(const QueueMemory& memory, std::uint64_t offset, std::uint64_t bytes) {
  try {
    os::punch(memory.descriptor(), offset, bytes);
  } catch (const SystemError&) {
  }
}

}  // namespace

std::optional<BlockId> Blocks::write(std::span<const std::byte> bytes) {
  const std::uint64_t size = std::max(std::bit_ceil(bytes.size()), class_bytes(memory_, 0));
  const auto block = take(static_cast<std::uint32_t>(std::countr_zero(size)) - memory_.constants.block_shift);
  if (!block) return {};
  HalfWord& spare = memory_.control().leases.spare;
  if (spare.load(std::memory_order_relaxed) == 0) spare.store(1, std::memory_order_relaxed);
  try {
    const int fd = memory_.descriptor().get();
    const auto call = [&](std::size_t done, off_t offset) { return ::pwrite(fd, bytes.data() + done, bytes.size() - done, offset); };
    move_all(call, "write an item to a memfd", offset_of(memory_, *block), bytes.size());
  } catch (...) {
    free(*block);
    throw;
  }
  return block;
}

void Blocks::read(BlockId block, std::span<std::byte> bytes) const {
  const int fd = memory_.descriptor().get();
  const auto call = [&](std::size_t done, off_t offset) { return ::pread(fd, bytes.data() + done, bytes.size() - done, offset); };
  move_all(call, "read an item from a memfd", offset_of(memory_, block), bytes.size());
}

// From the hint on, then one never used, and only then everywhere. The hint goes up when one is taken and down when one before it
// is freed, so the search is short.
std::optional<BlockId> Blocks::take(std::uint32_t size_class) {
  BlockClass& shared = memory_.control().blocks[size_class];
  const std::uint32_t count = class_count(memory_, size_class);
  for (std::uint32_t i = shared.hint.load(std::memory_order_relaxed); i < used_of(memory_, size_class); ++i) {
    if (auto block = take(size_class, i)) return block;
  }
  for (std::uint32_t i = used_of(memory_, size_class); i < count; i = used_of(memory_, size_class)) {
    const std::uint64_t place = memory_.geometry.block_states + state_index(memory_, size_class, i) * sizeof(Word);
    memory_.allocate_word(place, sizeof(Word), i == 0);
    if (!shared.used.compare_exchange_strong(i, i + 1, std::memory_order_seq_cst)) continue;
    if (auto block = take(size_class, i)) return block;
  }
  for (std::uint32_t i = 0; i < count; ++i) {
    if (auto block = take(size_class, i)) return block;
  }
  return {};
}

std::optional<BlockId> Blocks::take(std::uint32_t size_class, std::uint32_t index) {
  Word& word = state(memory_, size_class, index);
  std::uint64_t seen = word.load(std::memory_order_relaxed);
  if (state_of(seen) != State::free) return {};
  const std::uint64_t generation = std::max<std::uint64_t>((generation_of(seen) + 1) & 0xffffffff, 1);
  if (!word.compare_exchange_strong(seen, state_word(generation, me_, State::writing), std::memory_order_acquire)) return {};
  memory_.control().blocks[size_class].hint.store(index + 1, std::memory_order_relaxed);
  return block_id(generation, size_class, index);
}

void Blocks::mark_queued(const QueueMemory& memory, BlockId block) {
  if (block == 0 || !exists(memory, block)) return;
  std::uint64_t seen = state(memory, block).load(std::memory_order_relaxed);
  if (generation_of(seen) != generation_of(block) || state_of(seen) != State::writing) return;
  state(memory, block).compare_exchange_strong(seen, state_word(generation_of(block), 0, State::queued), std::memory_order_release);
}

void Blocks::check(BlockId block, std::uint64_t size) const {
  if (!exists(memory_, block) || size > class_bytes(memory_, class_of(block))) QueueMemory::throw_corrupt("a block that does not exist");
  const std::uint64_t word = state(memory_, block).load(std::memory_order_acquire);
  if (generation_of(word) != generation_of(block) || state_of(word) == State::free) {
    QueueMemory::throw_corrupt("a record of a block that is not in use");
  }
}

// The memory goes back first: afterwards the block may be another's.
void Blocks::free(const QueueMemory& memory, BlockId block) {
  if (block == 0 || !exists(memory, block)) return;
  Word& word = state(memory, block);
  std::uint64_t seen = word.load(std::memory_order_acquire);
  if (generation_of(seen) != generation_of(block) || state_of(seen) == State::free) return;
  if (!keeps_memory(memory, class_of(block), index_of(block))) give_back(memory, offset_of(memory, block), class_bytes(memory, class_of(block)));
  while (generation_of(seen) == generation_of(block) && state_of(seen) != State::free) {
    if (!word.compare_exchange_weak(seen, state_word(generation_of(block), 0, State::free), std::memory_order_seq_cst)) continue;
    HalfWord& hint = memory.control().blocks[class_of(block)].hint;
    if (hint.load(std::memory_order_relaxed) > index_of(block)) hint.store(index_of(block), std::memory_order_relaxed);
    return;
  }
}

// As if something was written to each.
bool Blocks::give_back_spare() {
  bool all = true;
  for (std::uint32_t c = 0; c < memory_.constants.block_classes; ++c) {
    for (std::uint32_t i = 0; i < used_of(memory_, c) && keeps_memory(memory_, c, i); ++i) {
      const auto block = take(c, i);
      all = all && block;
      if (!block) continue;
      give_back(memory_, offset_of(memory_, *block), class_bytes(memory_, c));
      free(*block);
    }
  }
  return all;
}

void Blocks::free_written_by(const QueueMemory& memory, Owner writer) {
  for (std::uint32_t c = 0; c < memory.constants.block_classes; ++c) {
    for (std::uint32_t i = 0; i < used_of(memory, c); ++i) {
      const std::uint64_t word = state(memory, c, i).load(std::memory_order_acquire);
      if (word == state_word(generation_of(word), writer, State::writing)) free(memory, block_id(generation_of(word), c, i));
    }
  }
}

std::uint64_t Blocks::used(const QueueMemory& memory) {
  std::uint64_t count = 0;
  for (std::uint32_t c = 0; c < memory.constants.block_classes; ++c) {
    for (std::uint32_t i = 0; i < used_of(memory, c); ++i) {
      if (state_of(state(memory, c, i).load(std::memory_order_acquire)) != State::free) ++count;
    }
  }
  return count;
}

}  // namespace troupe::queue
