#include "queue/shared_queue.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "queue/moving.h"
#include "queue/recover.h"

namespace troupe::queue {
namespace {

const QueueMemory& checked(const std::shared_ptr<const QueueMemory>& memory, std::uint32_t slot) {
  TROUPE_CHECK(memory && slot < memory->constants.users_max, "a queue's user needs the queue's memory and a slot below users_max");
  return *memory;
}

}  // namespace

SharedQueue::SharedQueue(std::shared_ptr<const QueueMemory> memory, std::uint32_t slot, std::function<void()> when_broken)
    : memory_(std::move(memory)),
      when_broken_(std::move(when_broken)),
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

// All others are to know, also those who sleep.
void SharedQueue::found_broken() {
  poisoned_.store(true, std::memory_order_relaxed);
  break_for_good(control());
  if (when_broken_) when_broken_();
}

// For those who look without a lock.
void SharedQueue::check_whole() const {
  if (poisoned_.load(std::memory_order_relaxed)) throw ProtocolError("this queue's shared memory was overwritten");
  control().put.lock.check_whole();
  control().get.lock.check_whole();
}

// Waiting for it, among other things.

// Only who takes finds out that there is no need to look for leases that came back: so look properly.
bool SharedQueue::ready(Clock::time_point deadline) {
  check_whole();
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
  while (check_whole(), !is_idle(deadline))
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
  check_whole();
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

bool SharedQueue::full() const {
  check_whole();
  return !may_have_room(*memory_);
}

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
