#pragma once

#include <cstdint>
#include <utility>

#include <troupe/duration.h>

#include "queue/queue_layout.h"

namespace troupe::queue {

// Who holds a lock, a lease or a block: 0 nobody, slot + 1 a user, kRootOwner whoever puts a dead user's affairs in order.
using Owner = std::uint32_t;
inline constexpr Owner kRootOwner = 0x7fff;
constexpr Owner owner_of(std::uint32_t slot) { return slot + 1; }

// A lock in shared memory that names its holder, so that root can take it from one that died: see recover.h.
//
//      word = holder | kWaiters, or 0
//
// Its users must do what they do under it in such an order that the work of a holder killed at any point can be finished or
// undone by take_over(). A sleeper that is killed, or woken and then killed, is made up for by waking all in recover().
//
// Threads: a view; the lock itself excludes processes and threads alike, and is not recursive.
class OwnerLock {
 public:
  OwnerLock(HalfWord& word, Owner me, Owner owner_max, bool may_spin) : word_(word), me_(me), owner_max_(owner_max), may_spin_(may_spin) {}

  // False if `deadline` has passed. Throws ProtocolError if the word names nobody that may exist.
  [[nodiscard]] bool lock(Clock::time_point deadline) {
    std::uint32_t free = 0;
    if (word_.compare_exchange_strong(free, me_, std::memory_order_acquire, std::memory_order_relaxed)) [[likely]] return true;
    return lock_slowly(deadline);
  }

  // A full fence, too: what was done under the lock is seen by those whose wish to be woken we do not see after it.
  void unlock() {
    if (word_.exchange(0, std::memory_order_seq_cst) & kWaiters) [[unlikely]] wake_one();
  }

  // For root, of which there is one at a time: takes it from `dead` or from a root that was killed itself, if one of them holds
  // it, keeping the sleepers' mark. Hand it on by an OwnerLock's unlock().
  [[nodiscard]] static bool take_over(HalfWord& word, Owner dead);

 private:
  static constexpr std::uint32_t kWaiters = 0x80000000;

  bool lock_slowly(Clock::time_point deadline);
  void wake_one();

  HalfWord& word_;
  Owner me_;
  Owner owner_max_;
  bool may_spin_;
};

// Holds a lock to the end of the block, or until release().
class Held {
 public:
  Held() = default;
  // Not held if the deadline has passed.
  Held(OwnerLock& lock, Clock::time_point deadline) : lock_(lock.lock(deadline) ? &lock : nullptr) {}
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;
  ~Held() { release(); }

  explicit operator bool() const { return lock_ != nullptr; }
  void release() {
    if (lock_) std::exchange(lock_, nullptr)->unlock();
  }

 private:
  OwnerLock* lock_ = nullptr;
};

}  // namespace troupe::queue
