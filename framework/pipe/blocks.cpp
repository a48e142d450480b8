#include "pipe/blocks.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <stdexcept>
#include <vector>

#include <troupe/errors.h>

#include "os/futex.h"
#include "os/memory.h"

namespace troupe::pipe {
namespace {

constexpr std::size_t kFreeMemoryMax = std::size_t{64} << 20;  // that is kept for the next blocks

std::size_t number(const BlockReference& what) { return static_cast<std::size_t>(what.block); }
Word& holders_word(BlockRecord& record, shared::Slot slot) { return record.holders[slot / 64]; }
std::uint64_t holder_bit(shared::Slot slot) { return std::uint64_t{1} << slot % 64; }

std::size_t records_used(const BlockTable& table) {
  return std::min<std::size_t>(table.records_used.load(std::memory_order_acquire), kBlocksMax);
}

BlockState state(const BlockRecord& record) { return state_of(record.state.load(std::memory_order_seq_cst)); }

// As block_layout.h says.
bool is_unused(const PipeHeader& header, const BlockRecord& record) {
  std::array<std::uint64_t, 2> received{};
  for (std::size_t way = 0; way < 2; ++way) received[way] = record.received[way].load(std::memory_order_seq_cst);
  for (const Word& some : record.holders)
    if (some.load(std::memory_order_seq_cst) != 0) return false;
  for (std::size_t way = 0; way < 2; ++way) {
    if (header.ways[way].no_receiver.load(std::memory_order_seq_cst) != 0) continue;  // what is under way there never arrives
    const auto sent = record.sent[way].load(std::memory_order_seq_cst);
    if (sent != received[way] || sent != record.received[way].load(std::memory_order_seq_cst)) return false;
  }
  return true;
}

}  // namespace

bool free_if_unused(PipeHeader& header, BlockTable& table, BlockRecord& record, std::uint64_t used) {
  if (!is_unused(header, record)) return false;
  const auto free = block_word(generation_of(used), BlockState::free);
  if (!record.state.compare_exchange_strong(used, free, std::memory_order_seq_cst)) return false;
  if (table.wanted.load(std::memory_order_seq_cst) != 0 && table.wanted.exchange(0, std::memory_order_seq_cst) != 0) {
    table.epoch.fetch_add(1, std::memory_order_seq_cst);
    os::futex_wake_all(table.epoch);
  }
  return true;
}

void BlockHold::let_go() noexcept { blocks_->let_go(what_); }

std::span<std::byte> BlockHold::bytes() const { return blocks_->place(blocks_->record(what_)).first(what_.size); }

Blocks::Blocks(std::span<std::byte> memory, const os::Descriptor* descriptor, shared::Slot slot)
    : area_(block_area(memory)),
      area_offset_(memory.size() - area_.size()),
      descriptor_(descriptor),
      header_(&header_of(memory)),
      table_(block_table(memory)),
      me_(slot),
      forks_(shared::forks()) {
  if (area_.empty() || slot >= kHoldersMax) throw ProtocolError("not a pipe with blocks");
}

BlockRecord& Blocks::record(const BlockReference& what) const {
  if (what.block >= kBlocksMax) throw ProtocolError("a block that cannot be");
  BlockRecord& record = table_->records[number(what)];
  if (record.state.load(std::memory_order_acquire) != block_word(what.generation, BlockState::used) ||
      what.size > place(record).size())
    throw ProtocolError("a block that is not there");
  return record;
}

std::span<std::byte> Blocks::place(const BlockRecord& record) const {
  const auto offset = record.offset.load(std::memory_order_relaxed), capacity = record.capacity.load(std::memory_order_relaxed);
  if (offset % kBlockPage != 0 || capacity > area_.size() || offset > area_.size() - capacity)
    throw ProtocolError("a block outside of its memory");
  return area_.subspan(offset, capacity);
}

// Making.

std::optional<BlockHold> Blocks::make(std::size_t size, bool zeroed, Clock::time_point deadline) {
  if (size > area_.size())
    throw std::length_error("a block of " + std::to_string(size) + " bytes: all of the pipe's are " + std::to_string(area_.size()));
  const std::size_t capacity = std::max(kBlockPage, (size + kBlockPage - 1) / kBlockPage * kBlockPage);
  bool was_used = false;
  auto what = take(capacity, was_used);
  while (!what) {
    const std::uint32_t epoch = table_->epoch.load(std::memory_order_seq_cst);
    table_->wanted.store(1, std::memory_order_seq_cst);
    std::atomic_thread_fence(std::memory_order_seq_cst);  // with free_if_unused(): one of us sees the other's
    if ((what = take(capacity, was_used))) break;
    if (!os::futex_wait(table_->epoch, epoch, deadline)) return {};
    what = take(capacity, was_used);
  }
  what->size = size;
  BlockHold hold(*this, *what);
  const auto bytes = hold.bytes();
  if (descriptor_)
    os::allocate(*descriptor_, area_offset_ + static_cast<std::size_t>(place(record(*what)).data() - area_.data()), capacity);
  if (zeroed && was_used) std::memset(bytes.data(), 0, bytes.size());
  return hold;
}

std::optional<BlockReference> Blocks::take(std::size_t capacity, bool& was_used) {
  table_->lock.lock(me_);
  BlockRecord* record = nullptr;
  try {
    record = find_free(capacity);
    if (!record) record = carve(capacity);
    if (!record) {
      empty_free_ones(0);
      record = carve(capacity);
    }
  } catch (...) {
    table_->lock.unlock();
    throw;
  }
  std::optional<BlockReference> what;
  if (record) {
    const auto word = record->state.load(std::memory_order_relaxed);
    was_used = state_of(word) == BlockState::free;
    what = {.block = static_cast<std::uint64_t>(record - table_->records.data()), .generation = generation_of(word) + 1, .size = 0, .type = 0};
    hold(*what);
    record->state.store(block_word(what->generation, BlockState::used), std::memory_order_seq_cst);
  }
  table_->lock.unlock();
  return what;
}

// The smallest that will do, and is not far too large.
BlockRecord* Blocks::find_free(std::size_t capacity) const {
  BlockRecord* best = nullptr;
  std::size_t best_capacity = 2 * capacity + 1;
  for (std::size_t i = 0; i < records_used(*table_); ++i) {
    BlockRecord& record = table_->records[i];
    if (state(record) != BlockState::free) continue;
    const std::size_t has = record.capacity.load(std::memory_order_relaxed);
    if (has >= capacity && has < best_capacity) best = &record, best_capacity = has;
  }
  return best;
}

// An empty record, and the first place for it between those of the others.
BlockRecord* Blocks::carve(std::size_t capacity) {
  BlockRecord* empty = nullptr;
  std::vector<std::pair<std::size_t, std::size_t>> taken;
  const std::size_t used = records_used(*table_);
  for (std::size_t i = 0; i < used; ++i) {
    BlockRecord& record = table_->records[i];
    if (state(record) != BlockState::empty)
      taken.emplace_back(record.offset.load(std::memory_order_relaxed), record.capacity.load(std::memory_order_relaxed));
    else if (!empty)
      empty = &record;
  }
  if (!empty && used == kBlocksMax) return nullptr;
  std::ranges::sort(taken);
  std::size_t place = 0;
  for (const auto& [offset, size] : taken) {
    if (offset > area_.size() || size > area_.size() - offset) throw ProtocolError("a block outside of its memory");
    if (offset >= place + capacity) break;
    place = std::max(place, offset + size);
  }
  if (place + capacity > area_.size()) return nullptr;
  if (!empty) {
    empty = &table_->records[used];
    table_->records_used.store(static_cast<std::uint32_t>(used + 1), std::memory_order_release);
  }
  empty->offset.store(place, std::memory_order_relaxed);
  empty->capacity.store(capacity, std::memory_order_relaxed);
  return empty;
}

// Under the lock. Gives memory of free blocks back until they have no more than `keep`; the largest first.
void Blocks::empty_free_ones(std::size_t keep) {
  std::vector<std::pair<std::size_t, BlockRecord*>> free;
  std::size_t total = 0;
  for (std::size_t i = 0; i < records_used(*table_); ++i) {
    BlockRecord& record = table_->records[i];
    if (state(record) != BlockState::free) continue;
    total += free.emplace_back(place(record).size(), &record).first;
  }
  std::ranges::sort(free);
  for (; !free.empty() && total > keep; free.pop_back()) {
    BlockRecord& record = *free.back().second;
    const auto bytes = place(record);
    if (descriptor_)
      os::punch(*descriptor_, area_offset_ + static_cast<std::size_t>(bytes.data() - area_.data()), bytes.size());
    else
      std::memset(bytes.data(), 0, bytes.size());
    record.state.store(block_word(generation_of(record.state.load(std::memory_order_relaxed)), BlockState::empty), std::memory_order_seq_cst);
    total -= free.back().first;
  }
}

// Holding.

void Blocks::stage(BlockStage& stage, const BlockReference& what, std::uint64_t position, std::uint64_t count) const {
  stage.block.store(what.block, std::memory_order_relaxed);
  stage.position.store(position, std::memory_order_relaxed);
  stage.count.store(count, std::memory_order_relaxed);
  stage.owner.store(me_ + 1, std::memory_order_release);
}

void Blocks::hold(const BlockReference& what) {
  const std::scoped_lock lock(mutex_);
  if (holds_[number(what)]++ == 0)
    holders_word(table_->records[number(what)], me_).fetch_or(holder_bit(me_), std::memory_order_seq_cst);
}

void Blocks::let_go(const BlockReference& what) noexcept {
  if (forks_ != shared::forks()) return;  // our parent holds it
  BlockRecord& record = table_->records[number(what)];
  {
    const std::scoped_lock lock(mutex_);
    if (--holds_[number(what)] != 0) return;
    holders_word(record, me_).fetch_and(~holder_bit(me_), std::memory_order_seq_cst);
  }
  if (!free_if_unused(*header_, *table_, record, block_word(what.generation, BlockState::used))) return;
  std::size_t free = 0;
  for (std::size_t i = 0; i < records_used(*table_); ++i) {
    if (state(table_->records[i]) == BlockState::free) free += table_->records[i].capacity.load(std::memory_order_relaxed);
  }
  if (free <= kFreeMemoryMax || !table_->lock.try_lock(me_)) return;
  try {
    empty_free_ones(kFreeMemoryMax);
  } catch (const std::exception&) {  // somebody else will, or finds out that the memory was overwritten
  }
  table_->lock.unlock();
}

void Blocks::break_for_good() {
  table_->lock.break_for_good();
  table_->epoch.fetch_add(1, std::memory_order_seq_cst);
  os::futex_wake_all(table_->epoch);
}

std::size_t Blocks::used() const {
  return static_cast<std::size_t>(std::ranges::count_if(table_->records, [](const BlockRecord& record) { return state(record) == BlockState::used; }));
}

std::size_t Blocks::allocated() const {
  std::size_t total = 0;
  for (const BlockRecord& record : table_->records) {
    if (state(record) != BlockState::empty) total += record.capacity.load(std::memory_order_relaxed);
  }
  return total;
}

}  // namespace troupe::pipe
