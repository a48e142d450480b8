#include "queue/shared_queue.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>
#include <utility>

#include <troupe/errors.h>

#include "base/check.h"

namespace troupe::queue {
namespace {

// Who does not wait for room or items still waits for whoever is moving one.
Clock::time_point lock_deadline(Clock::time_point deadline) { return deadline == kNow ? Clock::time_point::max() : deadline; }

const QueueMemory& checked(const std::shared_ptr<const QueueMemory>& memory, std::uint32_t slot) {
  TROUPE_CHECK(memory && slot < memory->constants.users_max, "a queue's user needs the queue's memory and a slot below users_max");
  return *memory;
}

bool may_have_room(const QueueMemory& memory) {
  return memory.is_ordered() ? OrderedItems::may_have_room(memory) : LogWriter::may_have_room(memory);
}
bool may_have_items(const QueueMemory& memory) {
  if (!memory.is_ordered()) return LogReader::may_have_items(memory);
  return OrderedItems::waiting(memory) != 0 || OrderedItems::is_stale(memory);
}
bool nobody_else(const QueueMemory&) { return false; }

// While it looks, a producer that waits for room waits for more than one item's: else each item that is taken makes the cache lines of
// both sides travel.
bool has_enough_room(const QueueMemory& memory) {
  const std::uint64_t most = memory.constants.items_max;
  const std::uint64_t enough = std::clamp<std::uint64_t>(most / 8, 1, 32);
  const std::uint64_t taken = memory.control().head.count.load(std::memory_order_acquire);
  return may_have_room(memory) && (most == 0 || memory.control().tail.count.load(std::memory_order_acquire) + enough <= taken + most);
}

}  // namespace

SharedQueue::SharedQueue(std::shared_ptr<const QueueMemory> memory, std::uint32_t slot)
    : memory_(std::move(memory)),
      me_(slot + 1),
      ordered_(checked(memory_, slot).is_ordered()),
      put_lock_(memory_->control().put.lock, slot),
      get_lock_(memory_->control().get.lock, slot),
      segments_(*memory_, me_),
      writer_(*memory_, segments_),
      reader_(*memory_, segments_),
      blocks_(*memory_, me_),
      leases_(*memory_, me_),
      items_(*memory_, me_),
      producers_{.our_cpu = memory_->control().room.get_cpu, .their_cpu = memory_->control().room.put_cpu},
      consumers_{.our_cpu = memory_->control().room.put_cpu, .their_cpu = memory_->control().room.get_cpu} {}

// Once the shared memory was found broken, nothing in it is to be believed.
template <class Work>
[[gnu::always_inline]] inline auto SharedQueue::guarded(const Work& work) {
  if (poisoned_.load(std::memory_order_relaxed)) [[unlikely]] throw ProtocolError("this queue's shared memory was overwritten");
  try {
    return work();
  } catch (const ProtocolError&) {
    poisoned_.store(true, std::memory_order_relaxed);
    throw;
  }
}

std::uint64_t SharedQueue::item_size_max() const {
  const std::uint64_t bytes_max = memory_->constants.bytes_max;
  return bytes_max == 0 ? memory_->geometry.item_max : std::min(bytes_max, memory_->geometry.item_max);
}

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

inline void SharedQueue::after_taking() {
  signal(control().room.room, producers_);
  if (control().room.idle.want.load(std::memory_order_seq_cst) != 0) [[unlikely]] tell_idle();
}

// Putting.

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
  std::optional<Lease> lease;
  if (record.large.block != 0) {
    blocks_.check(record.large.block, record.large.size);
    lease = leases_.hold(record.start, record.large, Leases::State::fetched);
    if (!lease) return false;
  }
  LogReader::pass(cursor, record);
  reader_.commit_dropped(cursor);
  held.release();
  if (lease) leases_.acknowledge(*lease);
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

// Getting.

template <class Sink>
[[gnu::always_inline]] inline GetResult SharedQueue::take(const Sink& sink, LeaseRoom* leases, std::size_t most, Clock::time_point deadline) {
  TROUPE_CHECK(most > 0, "ask for one item at least");
  {
    Held held(get_lock(), lock_deadline(deadline));
    if (held && take_some(held, sink, leases, most)) [[likely]] return GetResult::item;
  }
  return take_patiently(sink, leases, most, deadline);
}

template <class Sink>
[[gnu::noinline]] GetResult SharedQueue::take_patiently(const Sink& sink, LeaseRoom* leases, std::size_t most, Clock::time_point deadline) {
  Waiter waiter(*memory_, control().items, &may_have_items, deadline);
  for (;;) {
    Held held(get_lock(), lock_deadline(deadline));
    if (!held) return GetResult::empty;
    if (take_some(held, sink, leases, most)) [[likely]] return GetResult::item;
    if (closed() && is_drained()) return GetResult::ended;
    held.release();
    if (!waiter.again(producers_, &may_have_items)) return GetResult::empty;
  }
}

// Under the get lock, which it releases when it has taken something.
template <class Sink>
[[gnu::always_inline]] inline bool SharedQueue::take_some(Held& held, const Sink& sink, LeaseRoom* leases, std::size_t most) {
  if (ordered_) [[unlikely]] return take_ordered(held, sink, leases, most);
  if (leases_.may_be_returned()) [[unlikely]] {
    if (const auto lease = leases_.take_returned()) {
      held.release();
      hand_over(*lease, sink, leases);
      return true;
    }
  }
  auto cursor = reader_.begin();
  LogReader::Record record;
  if (copy_small(cursor, record, sink, leases, most) > 0) [[likely]] {
    reader_.commit(cursor);
    held.release();
    after_taking();
    return true;
  }
  if (record.large.block == 0) return false;
  const Lease lease = hold(record, leases != nullptr);
  LogReader::pass(cursor, record);
  reader_.commit(cursor);
  held.release();
  after_taking();
  hand_over(lease, sink, leases);
  return true;
}

// Copies items out, and into leases, up to `most` or to a large one; `record` is the last one looked at.
template <class Sink>
[[gnu::always_inline]] inline std::size_t SharedQueue::copy_small(LogReader::Cursor& cursor, LogReader::Record& record, const Sink& sink, LeaseRoom* leases,
                                    std::size_t most) {
  std::size_t count = 0;
  try {
    for (; count < most && reader_.peek(cursor, record) && record.large.block == 0; ++count) {
      if (leases) {
        if (!leases_.hold(record.start, record.bytes, leases->leases[leases->count])) [[unlikely]] {
          if (count > 0) break;
          throw std::length_error("all leases of this queue are taken: see QueueOptions::leases_max");
        }
        ++leases->count;
      }
      const std::span<std::byte> room = sink(record.bytes.size());
      shared::copy_small(room.data(), record.bytes.data(), room.size());
      LogReader::pass(cursor, record);
    }
  } catch (...) {
    while (leases && leases->count > 0) leases_.cancel(leases->leases[--leases->count]);
    throw;
  }
  return count;
}

Lease SharedQueue::hold(const LogReader::Record& record, bool leased) {
  blocks_.check(record.large.block, record.large.size);
  const auto lease = leases_.hold(record.start, record.large, leased ? Leases::State::held : Leases::State::fetched);
  if (!lease) throw std::length_error("all leases of this queue are taken: see QueueOptions::leases_max");
  return *lease;
}

template <class Sink>
bool SharedQueue::take_ordered(Held& held, const Sink& sink, LeaseRoom* leases, std::size_t most) {
  if (leases) return lease_ordered(held, sink, *leases, most);
  std::optional<Lease> large;
  if (take_small(sink, most) == 0) {
    const auto first = items_.first();
    if (!first) return false;
    large = items_.hold(*first, Leases::State::fetched);
  }
  held.release();
  after_taking();
  if (large) hand_over(*large, sink, nullptr);
  return true;
}

template <class Sink>
bool SharedQueue::lease_ordered(Held& held, const Sink& sink, LeaseRoom& room, std::size_t most) {
  std::size_t count = 0;
  for (; count < most; ++count) {
    const auto first = items_.first();
    if (!first) break;
    room.leases[count] = items_.hold(*first, Leases::State::held);
  }
  if (count == 0) return false;
  held.release();
  after_taking();
  std::size_t next = 0;
  try {
    while (next < count) hand_over(room.leases[next++], sink, &room);
  } catch (...) {  // that one is given back already
    for (; next < count; ++next) give_back(room.leases[next]);
    while (room.count > 0) give_back(room.leases[--room.count]);
    throw;
  }
  return true;
}

// Copies items out, up to `most` or to a large one. What was copied is the caller's, also if there is no memory for the next.
template <class Sink>
std::size_t SharedQueue::take_small(const Sink& sink, std::size_t most) {
  std::size_t count = 0;
  for (; count < most; ++count) {
    const auto first = items_.first();
    if (!first || first->block != 0) break;
    try {
      const auto bytes = items_.bytes(*first);
      const std::span<std::byte> room = sink(bytes.size());
      shared::copy_small(room.data(), bytes.data(), room.size());
    } catch (...) {
      if (count == 0) throw;
      break;
    }
    items_.take(*first);
  }
  return count;
}

// An item that is ours already: copied out without any lock.
template <class Sink>
void SharedQueue::hand_over(const Lease& lease, const Sink& sink, LeaseRoom* leases) {
  try {
    const auto item = leases_.item(lease);
    if (item.large) {
      blocks_.check(item.large->block, item.large->size);
      blocks_.read(item.large->block, sink(item.large->size));
    } else {
      const std::span<std::byte> room = sink(item.bytes.size());
      shared::copy_small(room.data(), item.bytes.data(), room.size());
    }
    if (leases) leases->leases[leases->count++] = lease;
  } catch (...) {
    give_back(lease);
    throw;
  }
  if (!leases) acknowledge(lease);
}

// Of a closed queue whose log seemed empty: nothing came before it was closed, and nothing will come back.
bool SharedQueue::is_drained() {
  return !may_have_items(*memory_) && nothing_comes_back();
}

bool SharedQueue::nothing_comes_back() {
  if (ordered_ && OrderedItems::live(*memory_) == 0) return true;
  declare(*memory_, control().room.idle);  // the last lease to end wakes us
  const auto holders = leases_.holders();
  return !holders.returned && (holders.me || !holders.others);
}

// Only who takes finds out that there is no need to look for leases that came back: so look properly.
bool SharedQueue::ready(Clock::time_point deadline) {
  if (ordered_ && !is_known(deadline)) return false;
  const bool has_items = ordered_ ? OrderedItems::waiting(*memory_) != 0 : size() > 0;
  return has_items || (closed() && nothing_comes_back());
}

// With another order: what is said of the items without the lock is right, or was made so in time.
bool SharedQueue::is_known(Clock::time_point deadline) const {
  if (!OrderedItems::is_stale(*memory_)) return true;
  Held held(get_lock(), deadline);
  if (held) items_.refresh();
  return static_cast<bool>(held);
}

std::uint32_t SharedQueue::arm() {
  const std::uint32_t epoch = control().items.epoch.load(std::memory_order_seq_cst);
  declare(*memory_, control().items);
  return epoch;
}

void SharedQueue::pass_on() {
  declare(*memory_, control().items);
  if (may_have_items(*memory_) || closed()) signal(control().items);
}

// Two who end the last leases at once look at each other's: with this fence between, one of them sees both.
void SharedQueue::tell_idle() {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  Wait& idle = control().room.idle;
  if (!is_idle(Clock::time_point::max()) || idle.want.exchange(0, std::memory_order_seq_cst) == 0) return;
  wake_all(idle);
  wake_all(control().items);
}

void SharedQueue::after_returning() {
  signal(control().items);
  signal_all(control().room.blocks);  // a dead letter may have given way to a newer one
  after_taking();
}

GetResult SharedQueue::get(Bytes& item, Clock::time_point deadline) {
  const auto sink = [&](std::size_t size) { return item.resize(size), std::span(item); };
  return guarded([&] { return take(sink, nullptr, 1, deadline); });
}

GetResult SharedQueue::get_many(Items& items, std::size_t most, Clock::time_point deadline) {
  items.clear();
  const auto sink = [&](std::size_t size) { return items.add(size); };
  return guarded([&] { return take(sink, nullptr, most, deadline); });
}

GetResult SharedQueue::lease(Bytes& item, Lease& lease, Clock::time_point deadline) {
  const auto sink = [&](std::size_t size) { return item.resize(size), std::span(item); };
  LeaseRoom room{&lease};
  return guarded([&] { return take(sink, &room, 1, deadline); });
}

GetResult SharedQueue::lease_many(Items& items, std::vector<Lease>& leases, std::size_t most, Clock::time_point deadline) {
  items.clear();
  leases.resize(std::min<std::size_t>(most, memory_->constants.leases_max));
  LeaseRoom room{leases.data()};
  const auto sink = [&](std::size_t size) { return items.add(size); };
  try {
    const GetResult result = guarded([&] { return take(sink, &room, leases.size(), deadline); });
    leases.resize(room.count);
    return result;
  } catch (...) {
    leases.clear();
    throw;
  }
}

bool SharedQueue::acknowledge(const Lease& lease) {
  TROUPE_CHECK(lease.entry < memory_->constants.leases_max, "only leases of this queue can be acknowledged");
  if (ordered_) return settled([&] { return acknowledge_ordered(lease); });
  if (!leases_.acknowledge(lease)) return false;
  control().get.lock.may_be_kept() ? os::light_fence() : std::atomic_thread_fence(std::memory_order_seq_cst);  // with declare()
  signal_all(control().room.blocks);
  if (control().room.idle.want.load(std::memory_order_seq_cst) != 0) [[unlikely]] tell_idle();
  return true;
}

bool SharedQueue::give_back(const Lease& lease) {
  TROUPE_CHECK(lease.entry < memory_->constants.leases_max, "only leases of this queue can be given back");
  const auto work = [&] {
    const bool was_ours = ordered_ ? give_back_ordered(lease) : leases_.give_back(lease);
    after_returning();
    return was_ours;
  };
  return ordered_ ? settled(work) : work();
}

// A lease's end does not throw: it happens in destructors. Whoever uses the queue next hears of a broken memory.
template <class Work>
bool SharedQueue::settled(Work work) {
  try {
    return guarded(work);
  } catch (const ProtocolError&) {
    return false;
  }
}

bool SharedQueue::give_back_ordered(const Lease& lease) {
  Held held(get_lock(), Clock::time_point::max());
  return items_.give_back(lease);
}

bool SharedQueue::acknowledge_ordered(const Lease& lease) {
  const bool was_ours = free_ordered(lease);
  signal_all(control().room.blocks);
  after_taking();
  return was_ours;
}

// The block is freed outside of the lock: root does it, if we are killed in between.
bool SharedQueue::free_ordered(const Lease& lease) {
  Held held(get_lock(), Clock::time_point::max());
  const auto block = items_.acknowledge(lease);
  held.release();
  if (!block) return false;
  if (*block == 0) return true;
  blocks_.free(*block);
  Held again(get_lock(), Clock::time_point::max());
  items_.free_entry(lease.entry);
  return true;
}

bool SharedQueue::take_dead_letter(Bytes& item, Lease& lease) {
  return guarded([&] {
    const auto dead = leases_.take_dead();
    if (!dead) return false;
    auto sink = [&](std::size_t size) { return item.resize(size), std::span(item); };
    LeaseRoom room{&lease};
    hand_over(*dead, sink, &room);
    return true;
  });
}

// Ending.

void SharedQueue::close() {
  guarded([&] {
    {
      Held held(put_lock_, Clock::time_point::max());
      control().put.closed.store(1, std::memory_order_seq_cst);
    }
    wake_all(control().items);
    for (Wait* area : {&control().room.room, &control().room.idle, &control().room.blocks}) wake_all(*area);
  });
}

bool SharedQueue::closed() const { return control().put.closed.load(std::memory_order_acquire) != 0; }

bool SharedQueue::join(Clock::time_point deadline) {
  Waiter waiter(*memory_, control().room.idle, &nobody_else, deadline);
  while (!is_idle(deadline))
    if (!waiter.again()) return false;
  return true;
}

// An item goes from the log into an entry before it counts as taken, so it is seen in one place or the other.
bool SharedQueue::is_idle(Clock::time_point deadline) const {
  if (ordered_) return is_known(deadline) && OrderedItems::live(*memory_) == 0;
  const std::uint64_t taken = control().head.count.load(std::memory_order_seq_cst);
  if (control().tail.count.load(std::memory_order_seq_cst) != taken) return false;
  const auto holders = leases_.holders();
  return !holders.me && !holders.others && !holders.returned;
}

std::uint64_t SharedQueue::size() const {
  if (ordered_) {
    Held held(get_lock(), Clock::time_point::max());
    items_.refresh();
    return OrderedItems::waiting(*memory_);
  }
  const std::uint64_t taken = control().head.count.load(std::memory_order_acquire);
  const std::uint64_t put = control().tail.count.load(std::memory_order_acquire);
  const std::uint64_t returned = leases_.may_be_returned() ? Leases::count(*memory_, Leases::State::returned) : 0;
  return (put > taken ? put - taken : 0) + returned;
}

bool SharedQueue::full() const { return !may_have_room(*memory_); }

Counts SharedQueue::counts() const {
  static_cast<void>(size());  // with another order, the counts below may be out of date before it
  const auto read = [](const Word& word) { return word.load(std::memory_order_acquire); };
  const auto now = [&](Leases::State state) { return Leases::count(*memory_, state); };
  const LeaseHeap& leases = control().leases;
  return {.put = read(control().tail.count),
          .taken = read(control().head.count),
          .dropped_newest = read(control().put.dropped),
          .dropped_oldest = read(control().head.dropped),
          .redelivered = read(leases.redelivered),
          .quarantined = read(leases.quarantined),
          .dead_dropped = read(leases.dropped),
          .leased = now(Leases::State::held),
          .returned = now(Leases::State::returned),
          .dead = now(Leases::State::dead)};
}

}  // namespace troupe::queue
