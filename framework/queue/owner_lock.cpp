#include "queue/owner_lock.h"

#include <troupe/errors.h>

#include "os/futex.h"
#include "queue/spin.h"

namespace troupe::queue {
namespace {

constexpr int kSpins = 200;

}  // namespace

bool OwnerLock::lock_slowly(Clock::time_point deadline) {
  for (int i = 0; may_spin_ && i < kSpins; ++i) {
    std::uint32_t seen = word_.load(std::memory_order_relaxed);
    if (seen == 0 && word_.compare_exchange_weak(seen, me_, std::memory_order_acquire, std::memory_order_relaxed)) return true;
    pause_cpu();
  }
  // Who has slept does not know whether others still do, so it takes the lock with their mark.
  std::uint32_t mine = me_;
  for (;;) {
    std::uint32_t seen = word_.load(std::memory_order_relaxed);
    if (seen == 0) {
      if (word_.compare_exchange_weak(seen, mine, std::memory_order_acquire, std::memory_order_relaxed)) return true;
      continue;
    }
    const Owner holder = seen & ~kWaiters;
    if (holder == 0 || (holder > owner_max_ && holder != kRootOwner)) throw ProtocolError("a queue's lock is held by nobody that exists");
    if (!(seen & kWaiters) && !word_.compare_exchange_weak(seen, seen | kWaiters, std::memory_order_relaxed)) continue;
    if (!os::futex_wait(word_, seen | kWaiters, deadline)) return false;
    mine = me_ | kWaiters;
  }
}

void OwnerLock::wake_one() { os::futex_wake(word_, 1); }

bool OwnerLock::take_over(HalfWord& word, Owner dead) {
  std::uint32_t seen = word.load(std::memory_order_acquire);
  while ((seen & ~kWaiters) == dead || (seen & ~kWaiters) == kRootOwner) {
    if (word.compare_exchange_weak(seen, kRootOwner | (seen & kWaiters), std::memory_order_acquire)) return true;
  }
  return false;
}

}  // namespace troupe::queue
