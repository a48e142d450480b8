#include "shared/kept_lock.h"

#include <pthread.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>

#include <troupe/errors.h>

#include "shared/spin.h"

namespace troupe::shared {
namespace {

constexpr std::uint32_t kStreak = 8;    // before it is kept the first time
constexpr std::uint32_t kPatience = 3;  // it doubles each time the lock is taken from a keeper, so often: then both cost about the same

std::atomic<std::uint64_t> threads_numbered{0};

// The numbers of threads that live, as far as there are places: such a number is odd. One that is no longer in its place has ended.
std::array<std::atomic<std::uint64_t>, 1024> living;
std::atomic<std::uint64_t>& place_of(std::uint64_t number) { return living[(number >> 1) % living.size()]; }
bool has_ended(std::uint64_t number) { return number % 2 != 0 && place_of(number).load(std::memory_order_acquire) != number; }

}  // namespace

std::atomic<std::uint32_t> detail::forks_seen{0};

namespace {

// From the beginning: a process may have been forked before it has its first lock.
const int not_counting_forks = ::pthread_atfork(nullptr, nullptr, [] { detail::forks_seen.fetch_add(1, std::memory_order_relaxed); });

}  // namespace

// The lock itself.

std::optional<Slot> KeptLock::holder() const {
  const std::uint32_t word = lock_.word_.load(std::memory_order_relaxed);
  if ((word & OwnerLock::kKept) != 0) {
    os::heavy_fence();
    if (seat_of(word).busy.load(std::memory_order_acquire) == 0) return {};
  }
  const std::uint32_t slot = OwnerLock::holder_of(word);
  return slot == 0 ? std::nullopt : std::optional<Slot>(slot - 1);
}

// It was killed, so that all its stores are to be seen.
bool KeptLock::held_by_dead(Slot dead) const {
  const std::uint32_t word = lock_.word_.load(std::memory_order_acquire);
  if (OwnerLock::holder_of(word) != dead + 1) return false;
  return (word & OwnerLock::kKept) == 0 || seat_of(word).busy.load(std::memory_order_acquire) != 0;
}

bool KeptLock::abandon(Slot dead) {
  const bool held = held_by_dead(dead);
  lock_.pass_from(dead, held ? OwnerLock::kAbandoned : 0);
  leave_seat(dead);
  return held;
}

bool KeptLock::take_over(Slot dead) {
  if (!held_by_dead(dead)) return abandon(dead);
  const bool held = lock_.take_over(dead);
  leave_seat(dead);
  return held;
}

void KeptLock::leave_seat(Slot dead) {
  for (Seat& seat : seats_) {
    if (seat.owner.load(std::memory_order_relaxed) != dead + 1) continue;
    seat.busy.store(0, std::memory_order_relaxed);
    seat.owner.store(0, std::memory_order_release);
  }
}

// Marked as wanted before: from the heavy fence on its keeper either is seen to be busy, or sees that mark before it is. The word counts
// how often it was kept, as far as there is room, lest we take it from another keeper than the one we looked at.
bool KeptLock::take_from_keeper(std::uint32_t seen, Slot me) {
  const std::uint32_t keeps = keeps_.load(std::memory_order_acquire);
  if ((seen >> OwnerLock::kKeepsShift) % OwnerLock::kKeeps != keeps % OwnerLock::kKeeps) return false;
  if (lock_.word_.load(std::memory_order_seq_cst) != seen) return false;
  // A seat is taken before its owner keeps the lock, and left after.
  const std::uint32_t owner = seat_of(seen).owner.load(std::memory_order_acquire);
  if (owner != 0 && owner != OwnerLock::holder_of(seen) && lock_.word_.load(std::memory_order_acquire) == seen) {
    break_for_good();
    OwnerLock::throw_overwritten();
  }
  os::heavy_fence();
  const std::atomic<std::uint32_t>& busy = seat_of(seen).busy;
  for (int spins = spins_allowed(); busy.load(std::memory_order_acquire) != 0; --spins) {
    if (spins <= 0 || lock_.word_.load(std::memory_order_relaxed) != seen) return false;
    pause();
  }
  std::uint32_t mine = OwnerLock::kWaiters | (me + 1);
  if (!lock_.word_.compare_exchange_strong(seen, mine, std::memory_order_acq_rel, std::memory_order_relaxed)) return false;
  if (keeps_.load(std::memory_order_relaxed) != keeps) [[unlikely]] {  // it was kept a multiple of so often since, and its keeper may be busy
    lock_.word_.compare_exchange_strong(mine, seen, std::memory_order_acq_rel, std::memory_order_relaxed);
    return false;
  }
  taken_.fetch_add(1, std::memory_order_relaxed);
  return true;
}

// Not one that another user in this process has, who may write to it still. Root frees them all.
std::atomic<std::uint32_t>* KeptLock::take_seat(Slot me) {
  for (Seat& seat : seats_) {
    std::uint32_t nobody = 0;
    if (seat.owner.compare_exchange_strong(nobody, me + 1, std::memory_order_acquire, std::memory_order_relaxed)) return &seat.busy;
  }
  return nullptr;
}

// Under the lock.
std::uint32_t KeptLock::kept_by(Slot me, const std::atomic<std::uint32_t>* busy) {
  const std::uint32_t count = keeps_.load(std::memory_order_relaxed) + 1;
  keeps_.store(count, std::memory_order_relaxed);
  std::uint32_t seat = 0;
  while (&seats_[seat].busy != busy) ++seat;
  return OwnerLock::kKept | (count % OwnerLock::kKeeps) << OwnerLock::kKeepsShift | seat << OwnerLock::kSeatShift | (me + 1);
}

// One process's use of it.

// In a forked child, this is another thread.
constinit thread_local std::uint64_t KeptLock::User::thread_number = kNoNumber;
struct KeptLock::User::Living {
  std::uint64_t number = 0;
  void begin() {
    for (std::size_t tries = 0; tries < living.size(); ++tries) {
      number = 2 * threads_numbered.fetch_add(1, std::memory_order_relaxed) + 3;
      std::uint64_t nobody = 0;
      if (place_of(number).compare_exchange_strong(nobody, number, std::memory_order_relaxed)) return;
    }
    --number;
  }
  void end() const {
    if (number % 2 != 0) place_of(number).store(0, std::memory_order_release);
  }
  // Other destructors may use a lock yet: under another number, of a thread that seems to live on.
  ~Living() {
    thread_number = 2 * threads_numbered.fetch_add(1, std::memory_order_relaxed) + 2;
    end();
  }
};

std::uint64_t KeptLock::User::this_thread() {
  if (thread_number != kNoNumber) return thread_number;
  thread_local Living living_thread;
  living_thread.end();  // of the parent, in a fork
  living_thread.begin();
  return thread_number = living_thread.number;
}

KeptLock::User::User(KeptLock& lock, Slot me) : lock_(lock), me_(me), allowed_(lock.allowed_ != 0), forks_(forks()) {
  static const int error = ::pthread_atfork(nullptr, nullptr, [] { thread_number = kNoNumber; });
  if (error != 0 || not_counting_forks != 0) throw SystemError(std::max(error, not_counting_forks), "pthread_atfork");
  if (allowed_ && !os::join_heavy_fences()) throw SystemError(ENOSYS, "membarrier, which the maker of this lock could call");
}

KeptLock::User::Hold KeptLock::User::lock_plain(Clock::time_point deadline) {
  if (!lock_.lock_.try_lock(me_) && !lock_.lock_.lock_slow(me_, deadline, &lock_)) return Hold::none;
  // Another process may have robbed a thread of ours: what that did under the lock comes to us by way of there. This shows it to TSan.
  if (busy_) static_cast<void>(busy_->load(std::memory_order_acquire));
  return Hold::plain;
}

void KeptLock::User::unlock_plain() {
  if (!may_keep() || !keep()) lock_.lock_.unlock();
}

// Counts, and says whether it is time. A thread of ours that was robbed of the lock may not have noticed yet: then we must not use its
// seat, unless it has ended.
bool KeptLock::User::may_keep() {
  if (!allowed_ || forks_ != forks()) return false;
  const std::uint64_t thread = this_thread();
  if (lock_.last_.load(std::memory_order_relaxed) != me_ + 1 || thread_ != thread) {
    lock_.last_.store(me_ + 1, std::memory_order_relaxed);
    thread_ = thread;
    streak_ = 0;
  }
  if (++streak_ <= kStreak << std::min(lock_.taken_.load(std::memory_order_relaxed), kPatience)) return false;
  const std::uint64_t keeper = keeper_.load(std::memory_order_acquire);
  return keeper == kNoKeeper || has_ended(keeper);
}

bool KeptLock::User::keep() {
  streak_ = 0;
  if (!busy_) busy_ = lock_.take_seat(me_);
  if (!busy_) return false;
  busy_->store(0, std::memory_order_release);
  std::uint32_t mine = me_ + 1;
  kept_ = lock_.kept_by(me_, busy_);
  if (!lock_.lock_.word_.compare_exchange_strong(mine, kept_, std::memory_order_seq_cst, std::memory_order_relaxed)) return false;
  keeper_.store(this_thread(), std::memory_order_release);
  return true;
}

// It is wanted, or gone already.
void KeptLock::User::give_up() {
  std::uint32_t wanted = kept_ | OwnerLock::kWaiters;
  if (lock_.lock_.word_.compare_exchange_strong(wanted, 0, std::memory_order_seq_cst, std::memory_order_relaxed)) {
    lock_.taken_.fetch_add(1, std::memory_order_relaxed);
    lock_.lock_.wake_one();
  }
  keeper_.store(kNoKeeper, std::memory_order_release);
}

}  // namespace troupe::shared
