#pragma once

#include <cstdint>
#include <utility>

#include <troupe/duration.h>

#include "shared/owner_lock.h"

namespace troupe::queue {

// Who holds a lease or a block: 0 nobody, slot + 1 a user, kRootOwner root while it puts a dead user's affairs in order.
using Owner = std::uint32_t;
inline constexpr Owner kRootOwner = shared::kRootSlot + 1;

// Holds a lock to the end of the block, or until release().
//
// Threads: confined to one.
class Held {
 public:
  // Not held if the deadline has passed.
  Held(shared::OwnerLock& lock, Owner me, Clock::time_point deadline) : lock_(lock.lock_until(me - 1, deadline) ? &lock : nullptr) {}
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;
  ~Held() { release(); }

  explicit operator bool() const { return lock_ != nullptr; }
  // A full fence, too: what was done under the lock is seen by those whose wish to be woken we do not see after it.
  void release() {
    if (lock_) std::exchange(lock_, nullptr)->unlock();
  }

 private:
  shared::OwnerLock* lock_;
};

}  // namespace troupe::queue
