#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

#include <troupe/duration.h>

#include "shared/slot.h"

namespace troupe::shared {

class KeptLock;

// A lock in shared memory that knows which process holds it: one word, no pointers, all zero when free.
//
//      31       30          29 … 16             15 … 0
//     | waiters | abandoned | 0: see kept_lock.h | holder's slot + 1, or 0 |
//
//     lock.lock(me);
//     …
//     lock.unlock();
//
// Any process may be killed at any instruction. Once root knows that it is dead, it calls abandon(slot) (the next holder finds
// abandoned() true), or take_over(slot) to hold the lock itself and repair what it guards. Both wake everybody who sleeps, because
// the dead may have been about to wake somebody, or may have been the one who was woken.
//
// A word that is not one of ours shows that somebody has overwritten the memory. Whoever finds that out about the lock, or about what it
// guards, breaks it: a word of its own, which nobody gets past, and which those who unlock put back.
//
// Threads: any; threads of a process share its slot and exclude one another.
class OwnerLock {
 public:
  [[nodiscard]] bool try_lock(Slot me) {
    std::uint32_t free = 0;
    return word_.compare_exchange_strong(free, me + 1, std::memory_order_acquire, std::memory_order_relaxed) ||
           (holder_of(free) == 0 && try_lock_marked(me));
  }

  // Sleeps for the lock if need be; false if `deadline` passed first. Throws ProtocolError if the word is not one of ours.
  [[nodiscard]] bool lock_until(Slot me, Clock::time_point deadline) { return try_lock(me) || lock_slow(me, deadline); }
  void lock(Slot me) { static_cast<void>(lock_until(me, Clock::time_point::max())); }

  // By whoever holds it, whatever its slot: the caller knows that it is held. A full fence.
  void unlock() {
    const std::uint32_t seen = word_.exchange(0, std::memory_order_seq_cst);
    if ((seen & ~(kAbandoned | kHolder)) != 0) unlocked(seen);
  }

  // Unlocks on behalf of whoever holds it; false if nobody does. Throws ProtocolError if the word is not one of ours.
  [[nodiscard]] bool try_unlock(Slot likely_holder) {
    std::uint32_t held = likely_holder + 1;
    return word_.compare_exchange_strong(held, 0, std::memory_order_seq_cst, std::memory_order_relaxed) || unlock_marked(held);
  }

  [[nodiscard]] std::optional<Slot> holder() const {
    const std::uint32_t slot = holder_of(word_.load(std::memory_order_relaxed));
    return slot == 0 ? std::nullopt : std::optional<Slot>(slot - 1);
  }
  [[nodiscard]] bool held_by(Slot slot) const { return holder_of(word_.load(std::memory_order_relaxed)) == slot + 1; }

  // A holder died since the lock was last unlocked: what it guards may be half changed.
  [[nodiscard]] bool abandoned() const { return (word_.load(std::memory_order_relaxed) & kAbandoned) != 0; }

  // What it guards was overwritten: from now on, whoever tries to lock it, or sleeps for it, gets a ProtocolError. Who holds it does so to
  // the end. Whoever overwrites this as well makes a lock of it again.
  void break_for_good();
  [[nodiscard]] bool is_broken() const { return word_.load(std::memory_order_relaxed) == kBroken; }
  // Throws ProtocolError if it is.
  void check_whole() const {
    if (is_broken()) [[unlikely]] throw_overwritten();
  }
  [[noreturn]] static void throw_overwritten();

  // By root, when `dead` is. Frees the lock if it held it, and says whether it did.
  bool abandon(Slot dead);

  // By root, when `dead` is. True if it held the lock: now root does.
  [[nodiscard]] bool take_over(Slot dead);

 private:
  friend class KeptLock;
  static constexpr std::uint32_t kWaiters = 1U << 31;
  static constexpr std::uint32_t kAbandoned = 1U << 30;
  static constexpr std::uint32_t kKept = 1U << 29;
  static constexpr unsigned kKeepsShift = 18, kSeatShift = 16;
  static constexpr std::uint32_t kKeeps = 1U << 11;
  static constexpr std::uint32_t kHolder = 0xFFFF;
  static constexpr std::uint32_t kBroken = kWaiters | 0x1BAD0000 | 0xFFF8;  // held by a slot that there is not, with bits that no lock has
  static constexpr std::uint32_t holder_of(std::uint32_t word) { return word & kHolder; }

  static constexpr bool is_ours(std::uint32_t word, bool may_be_kept) {
    const std::uint32_t holder = holder_of(word);
    if (holder > kSlotsMax && holder != kRootSlot + 1) return false;
    return (word & kKept) != 0 ? may_be_kept && holder != 0 : (word & ~(kWaiters | kAbandoned | kHolder)) == 0;
  }

  bool try_lock_marked(Slot me);
  void unlocked(std::uint32_t seen);
  bool lock_slow(Slot me, Clock::time_point deadline, KeptLock* kept = nullptr);
  bool unlock_marked(std::uint32_t seen);
  bool pass_from(Slot dead, std::uint32_t next);
  void wake_one();

  std::atomic<std::uint32_t> word_{0};
};

static_assert(sizeof(OwnerLock) == 4 && std::atomic<std::uint32_t>::is_always_lock_free);

}  // namespace troupe::shared
