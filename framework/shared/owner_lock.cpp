#include "shared/owner_lock.h"

#include <troupe/errors.h>

#include "os/futex.h"
#include "shared/kept_lock.h"
#include "shared/spin.h"

namespace troupe::shared {

// Free, but marked: as abandoned, or as having waiters. The marks stay.
bool OwnerLock::try_lock_marked(Slot me) {
  std::uint32_t seen = word_.load(std::memory_order_relaxed);
  while (holder_of(seen) == 0) {
    if (word_.compare_exchange_weak(seen, seen | (me + 1), std::memory_order_acquire, std::memory_order_relaxed)) return true;
  }
  return false;
}

bool OwnerLock::lock_slow(Slot me, Clock::time_point deadline, KeptLock* kept) {
  for (int spins = spins_allowed(); spins > 0 && (word_.load(std::memory_order_relaxed) & kKept) == 0; --spins) {
    pause();
    if (holder_of(word_.load(std::memory_order_relaxed)) == 0 && try_lock(me)) return true;
  }
  // From here on we hold it marked as having waiters, because others may sleep that were not woken.
  std::uint32_t seen = word_.load(std::memory_order_relaxed);
  while (true) {
    if (!is_ours(seen, kept != nullptr)) {
      break_for_good();
      throw_overwritten();
    }
    if (holder_of(seen) == 0) {
      const std::uint32_t mine = seen | kWaiters | (me + 1);
      if (word_.compare_exchange_weak(seen, mine, std::memory_order_acquire, std::memory_order_relaxed)) return true;
    } else if ((seen & kWaiters) == 0) {
      if (word_.compare_exchange_weak(seen, seen | kWaiters, std::memory_order_relaxed)) seen |= kWaiters;
    } else if ((seen & kKept) != 0 && kept->take_from_keeper(seen, me)) {
      return true;
    } else {
      if (!os::futex_wait(word_, seen, deadline)) return try_lock(me);
      seen = word_.load(std::memory_order_relaxed);
    }
  }
}

void OwnerLock::unlocked(std::uint32_t seen) {
  if (!is_ours(seen, false)) return break_for_good();
  wake_one();
}

bool OwnerLock::unlock_marked(std::uint32_t seen) {
  while (holder_of(seen) != 0) {
    if (!is_ours(seen, false)) {
      break_for_good();
      throw_overwritten();
    }
    if (!word_.compare_exchange_weak(seen, 0, std::memory_order_seq_cst, std::memory_order_relaxed)) continue;
    if ((seen & kWaiters) != 0) wake_one();
    return true;
  }
  return false;
}

// The dead cannot change the word any more, and nobody else is given its slot: only the marks can change under our hands.
bool OwnerLock::pass_from(Slot dead, std::uint32_t next) {
  std::uint32_t seen = word_.load(std::memory_order_relaxed);
  bool held = false;
  while (!held && holder_of(seen) == dead + 1) {
    held = word_.compare_exchange_weak(seen, next, std::memory_order_acq_rel, std::memory_order_relaxed);
  }
  os::futex_wake_all(word_);
  return held;
}

bool OwnerLock::abandon(Slot dead) { return pass_from(dead, kAbandoned); }
bool OwnerLock::take_over(Slot dead) { return pass_from(dead, kWaiters | kAbandoned | (kRootSlot + 1)); }

void OwnerLock::break_for_good() {
  word_.store(kBroken, std::memory_order_seq_cst);
  os::futex_wake_all(word_);
}

void OwnerLock::throw_overwritten() { throw ProtocolError("a lock in shared memory was overwritten, or what it guards"); }

void OwnerLock::wake_one() { os::futex_wake(word_, 1); }

}  // namespace troupe::shared
