#include <algorithm>
#include <optional>
#include <stdexcept>
#include <string>

#include "queue/moving.h"

// Putting into a SharedQueue.
namespace troupe::queue {
namespace {

// While it looks, a producer that waits for room waits for more than one item's: else each item that is taken makes the cache lines of
// both sides travel.
bool has_enough_room(const QueueMemory& memory) {
  const std::uint64_t most = memory.constants.items_max;
  const std::uint64_t enough = std::clamp<std::uint64_t>(most / 8, 1, 32);
  const std::uint64_t taken = memory.control().head.count.load(std::memory_order_acquire);
  return may_have_room(memory) && (most == 0 || memory.control().tail.count.load(std::memory_order_acquire) + enough <= taken + most);
}

}  // namespace

[[gnu::always_inline]] inline void SharedQueue::check(std::size_t size) const {
  if (size > item_size_max() || (memory_->constants.order == Order::priority && size < sizeof(std::uint64_t))) [[unlikely]]
    throw_size(size);
}

void SharedQueue::throw_size(std::size_t size) const {
  if (size > item_size_max()) {
    throw std::length_error("an item of " + std::to_string(size) + " bytes does not fit in a queue that takes " + std::to_string(item_size_max()));
  }
  throw std::length_error("an item of a priority queue begins with its priority");
}

PutResult SharedQueue::put(std::span<const std::byte> item, Clock::time_point deadline) {
  check(item.size());
  return guarded([&] {
    if (item.size() > memory_->geometry.small_max) [[unlikely]] return put_large(item, deadline);
    if (ordered_) [[unlikely]] return insert([&] { return items_.put(item); }, deadline);
    const auto until = lock_deadline(deadline);
    const auto try_put = [&]() __attribute__((always_inline)) {
      auto batch = writer_.begin();
      if (!writer_.append(batch, item, until)) [[unlikely]] return false;
      writer_.commit(batch);
      return true;
    };
    if (put_now(try_put, until)) [[likely]] return PutResult::done;
    return insert(try_put, deadline);
  });
}

// Without more ado.
template <class TryPut>
[[gnu::always_inline]] inline bool SharedQueue::put_now(const TryPut& try_put, Clock::time_point until) {
  Held held(put_lock_, until);
  if (!held || control().put.closed.load(std::memory_order_relaxed) != 0 || !try_put()) [[unlikely]] return false;
  held.release();
  signal(control().items, consumers_);
  return true;
}

// Under the put lock, tries to put until it can.
template <class TryPut>
[[gnu::noinline]] PutResult SharedQueue::insert(const TryPut& try_put, Clock::time_point deadline) {
  const bool may_wait = memory_->constants.overflow == Overflow::block;
  Waiter waiter(*memory_, control().room.room, &may_have_room, may_wait ? deadline : kNow);
  for (;;) {
    Held held(put_lock_, lock_deadline(deadline));
    if (!held) return PutResult::full;
    if (control().put.closed.load(std::memory_order_relaxed) != 0) [[unlikely]] return PutResult::closed;
    if (try_put()) [[likely]] {
      held.release();
      signal(control().items, consumers_);
      return PutResult::done;
    }
    if (make_room(deadline)) continue;
    held.release();
    if (!waiter.again(consumers_, &has_enough_room)) return refuse();
  }
}

// Under the put lock: by what a killed consumer left undone, or by the queue's policy.
bool SharedQueue::make_room(Clock::time_point deadline) {
  if (ordered_) return memory_->constants.overflow == Overflow::drop_oldest && items_.drop_last();
  const std::uint64_t read = control().head.head.load(std::memory_order_relaxed) >> memory_->constants.segment_shift;
  if (control().segments.freed.load(std::memory_order_relaxed) < read) {
    Held held(get_lock_, lock_deadline(deadline));
    if (held && reader_.give_back_segments(lock_deadline(deadline))) return true;
  }
  return memory_->constants.overflow == Overflow::drop_oldest && drop_oldest();
}

bool SharedQueue::drop_oldest() {
  Held held(get_lock(), Clock::time_point::max());
  if (ordered_) return items_.drop_last();
  auto cursor = reader_.begin();
  LogReader::Record record;
  if (!reader_.peek(cursor, record)) return false;
  if (record.large.block != 0) blocks_.check(record.large.block, record.large.size);
  LogReader::pass(cursor, record);
  reader_.commit_dropped(cursor, record.large.block);
  held.release();
  signal_all(control().room.blocks);
  after_taking();
  return true;
}

PutResult SharedQueue::refuse() {
  if (memory_->constants.overflow != Overflow::drop_newest) return PutResult::full;
  control().put.dropped.fetch_add(1, std::memory_order_relaxed);
  return PutResult::dropped;
}

// The item is copied into its block outside of any lock.
PutResult SharedQueue::put_large(std::span<const std::byte> item, Clock::time_point deadline) {
  const Overflow overflow = memory_->constants.overflow;
  Waiter waiter(*memory_, control().room.blocks, &nobody_else, overflow == Overflow::block ? deadline : kNow);
  std::optional<BlockId> block;
  while (!(block = blocks_.write(item))) {
    check_whole();
    if (closed()) return PutResult::closed;
    if (overflow == Overflow::drop_oldest && drop_oldest()) continue;
    if (!waiter.again()) return refuse();
  }
  PutResult result = PutResult::full;
  try {
    result = insert_large(item, *block, deadline);
  } catch (...) {
    blocks_.free(*block);
    signal_all(control().room.blocks);
    throw;
  }
  if (result != PutResult::done) {
    blocks_.free(*block);
    signal_all(control().room.blocks);
  }
  return result;
}

PutResult SharedQueue::insert_large(std::span<const std::byte> item, BlockId block, Clock::time_point deadline) {
  if (ordered_) return insert([&] { return items_.put(item, block); }, deadline);
  const auto try_put = [&] {
    auto batch = writer_.begin();
    if (!writer_.append(batch, LargeItem{block, item.size()}, lock_deadline(deadline))) return false;
    writer_.commit(batch, block);
    Blocks::mark_queued(*memory_, block);
    return true;
  };
  return insert(try_put, deadline);
}

std::size_t SharedQueue::put_many(Spans items, Clock::time_point deadline) {
  for (const auto& item : items) check(item.size());
  return guarded([&] {
    std::size_t done = 0;
    const bool batches = memory_->constants.overflow == Overflow::block || memory_->constants.overflow == Overflow::fail;
    while (done < items.size()) {
      std::size_t put = batches ? append_some(items.subspan(done), deadline) : 0;
      // Full, closed, or not a matter of batches: as a single one it waits, or is dropped, or what it may be.
      if (put == 0) {
        const PutResult result = SharedQueue::put(items[done], deadline);
        if (result == PutResult::full || result == PutResult::closed) break;
        put = 1;
      }
      done += put;
    }
    return done;
  });
}

// As many small items as there is room for, at once.
std::size_t SharedQueue::append_some(Spans items, Clock::time_point deadline) {
  Held held(put_lock_, lock_deadline(deadline));
  if (!held || control().put.closed.load(std::memory_order_relaxed) != 0) return 0;
  auto batch = writer_.begin();
  std::size_t put = 0;
  const auto try_put = [&](std::span<const std::byte> item) {
    if (item.size() > memory_->geometry.small_max) return false;
    return ordered_ ? items_.put(item) : writer_.append(batch, item, lock_deadline(deadline));
  };
  try {
    while (put < items.size() && try_put(items[put])) ++put;
  } catch (const SystemError&) {
    if (put == 0) throw;
  }
  if (put == 0) return 0;
  if (!ordered_) writer_.commit(batch);
  held.release();
  signal(control().items, consumers_);
  return put;
}

}  // namespace troupe::queue
