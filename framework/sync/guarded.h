#pragma once

#include <cstdint>

#include <troupe/duration.h>

#include "base/check.h"
#include "sync/layout.h"

namespace troupe::sync {

using shared::Slot;

// How a user's life ended: killed, crashed, failed; or after all its work, so that what it took is used up and what it owes is done.
enum class End : std::uint32_t { died = 1, finished = 2 };

// What is changed under a short lock of its own, by users that may be killed at any instruction.
//
// A user enters, changes, leaves, and sleeps outside. Root never waits for the lock: recover() leaves a note about the dead, and
// settles it if the lock is free, or was the dead one's; otherwise the user who holds the lock settles it when it leaves, or the next
// to enter: whoever comes after recover() comes after the death. To settle is to forget what stands there for the dead, and to compute
// again what follows from the rest, because the last holder may have died between the store that commits and those that follow from it.
//
// Threads: any.
class Guarded {
 public:
  // By root, once `gone` is. The slot may be used again when recovered() is true.
  void recover(Slot gone, End end);
  [[nodiscard]] bool recovered(Slot gone) const;

 protected:
  Guarded(std::uint32_t users, Slot me) : users_(users), me_(me) {}
  Guarded(const Guarded&) = default;
  Guarded& operator=(const Guarded&) = default;
  virtual ~Guarded() = default;

  void guard_with(GuardPart* guard) { guard_ = guard; }

  // Throws ProtocolError where somebody has overwritten the memory.
  void enter() {
    TROUPE_CHECK(me_ < users_, "root only recovers and looks");
    lock_guard();
    if (guard_->pending.load(std::memory_order_seq_cst) != 0) [[unlikely]] settle();
  }
  void leave() {
    guard_->lock.unlock();
    if (guard_->pending.load(std::memory_order_seq_cst) != 0) settle_pending();
  }
  // Leaves, sleeps until the state changes, and enters again; false if `deadline` passed.
  bool sleep(Clock::time_point deadline);
  // Leaves, and wakes up to `count` of those who sleep.
  void leave_and_wake(int count);

  // What stands there cannot be: this throws ProtocolError, now, and wherever it is used from now on.
  [[noreturn]] void overwritten() const;

  [[nodiscard]] std::uint32_t users() const { return users_; }
  [[nodiscard]] Slot me() const { return me_; }

 private:
  [[nodiscard]] virtual Word& note(Slot slot) const = 0;
  virtual void forget(Slot gone, End end) = 0;  // twice is the same as once
  virtual void recount() = 0;

  void lock_guard();
  void settle();
  void settle_pending();

  GuardPart* guard_ = nullptr;
  std::uint32_t users_;
  Slot me_;
};

}  // namespace troupe::sync
