#include <algorithm>
#include <optional>
#include <stdexcept>
#include <utility>

#include "base/check.h"
#include "queue/moving.h"

// Getting from a SharedQueue: plain, with leases, and what becomes of those.
namespace troupe::queue {

template <class Sink>
[[gnu::always_inline]] inline GetResult SharedQueue::take(const Sink& sink, LeaseRoom* leases, std::size_t most, Clock::time_point deadline) {
  TROUPE_CHECK(most > 0, "ask for one item at least");
  {
    Held held(get_lock(), lock_deadline(deadline));
    if (held && take_some(held, sink, leases, most)) [[likely]] return GetResult::item;
  }
  return take_patiently(sink, leases, most, deadline);
}

// Who has waited for long gives back what is spare before it sleeps on.
template <class Sink>
[[gnu::noinline]] GetResult SharedQueue::take_patiently(const Sink& sink, LeaseRoom* leases, std::size_t most, Clock::time_point deadline) {
  if (deadline != kNow && control().leases.spare.load(std::memory_order_relaxed) != 0) {
    const auto idle = deadline_after(Duration(memory_->constants.idle));
    if (idle < deadline) {
      const GetResult result = take_until(sink, leases, most, idle);
      if (result != GetResult::empty) return result;
      Held held(get_lock(), deadline);
      if (held) give_back_spare(deadline);
    }
  }
  return take_until(sink, leases, most, deadline);
}

template <class Sink>
GetResult SharedQueue::take_until(const Sink& sink, LeaseRoom* leases, std::size_t most, Clock::time_point deadline) {
  Waiter waiter(*memory_, control().items, &may_have_items, deadline);
  for (;;) {
    Held held(get_lock(), lock_deadline(deadline));
    if (!held) return GetResult::empty;
    if (take_some(held, sink, leases, most)) [[likely]] return GetResult::item;
    if (closed() && is_drained()) {
      give_back_spare(lock_deadline(deadline));
      return GetResult::ended;
    }
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
  take_large(held, sink, leases);
  return true;
}

// By way of an entry. Without one, and the memory that it may need, the item is copied out under the lock, so that others wait for that.
template <class Sink>
[[gnu::noinline]] void SharedQueue::take_large(Held& held, const Sink& sink, LeaseRoom* leases) {
  auto cursor = reader_.begin();
  LogReader::Record record;
  if (!reader_.peek(cursor, record) || record.large.block == 0) QueueMemory::throw_corrupt("a record that changes");
  const auto lease = hold(record, leases != nullptr);
  if (!lease) blocks_.read(record.large.block, sink(record.large.size));
  LogReader::pass(cursor, record);
  lease ? reader_.commit(cursor) : reader_.commit_freeing(cursor, record.large.block);
  held.release();
  if (!lease) signal_all(control().room.blocks);
  after_taking();
  if (lease) hand_over(*lease, sink, leases);
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

// Of a large item. Nothing if there is no entry for one that is to be got without a lease: that does not need it.
std::optional<Lease> SharedQueue::hold(const LogReader::Record& record, bool leased) {
  blocks_.check(record.large.block, record.large.size);
  try {
    if (const auto lease = leases_.hold(record.start, record.large, leased ? Leases::State::held : Leases::State::fetched)) return lease;
  } catch (const SystemError&) {
    if (leased) throw;
  }
  if (leased) throw std::length_error("all leases of this queue are taken: see QueueOptions::leases_max");
  return {};
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

// Under the get lock. Whoever makes something that may be spare says so afterwards, and so do we where something is left. What the kernel
// has no memory for is not worth an error.
void SharedQueue::give_back_spare(Clock::time_point deadline) {
  HalfWord& spare = control().leases.spare;
  if (spare.load(std::memory_order_relaxed) == 0) return;
  spare.store(0, std::memory_order_seq_cst);
  bool all = false;
  try {
    all = ordered_ ? items_.give_back_spare() : reader_.give_back_spare(deadline);
    all = (ordered_ || leases_.give_back_spare()) && all;
    all = blocks_.give_back_spare() && all;
  } catch (const SystemError&) {
  }
  if (!all) spare.store(1, std::memory_order_seq_cst);
  signal_all(control().room.blocks);  // we had some for a moment
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
  return settled(work);
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

}  // namespace troupe::queue
