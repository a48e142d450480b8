#include "sync/guarded.h"

#include <troupe/errors.h>

#include "os/futex.h"

namespace troupe::sync {

void Guarded::lock_guard() {
  if (guard_->lock.try_lock(me_)) [[likely]] return;
  try {
    guard_->lock.lock(me_);
  } catch (const ProtocolError&) {
    overwritten();
  }
}

void Guarded::overwritten() const {
  guard_->lock.break_for_good();
  guard_->epoch.fetch_add(1, std::memory_order_release);
  os::futex_wake_all(guard_->epoch);
  shared::OwnerLock::throw_overwritten();
}

bool Guarded::sleep(Clock::time_point deadline) {
  const std::uint32_t epoch = value_of(guard_->epoch);
  leave();
  const bool in_time = os::futex_wait(guard_->epoch, epoch, deadline);
  enter();
  return in_time;
}

bool Guarded::recovered(Slot gone) const {
  check_slot(gone, users_);
  return note(gone).load(std::memory_order_acquire) == 0;
}

void Guarded::leave_and_wake(int count) {
  guard_->epoch.fetch_add(1, std::memory_order_release);
  leave();
  os::futex_wake(guard_->epoch, count);
}

// `pending` pairs with leave(): either root finds the lock free, or whoever holds it finds `pending` set after unlocking.
void Guarded::recover(Slot gone, End end) {
  check_slot(gone, users_);
  note(gone).store(static_cast<std::uint32_t>(end), std::memory_order_seq_cst);
  guard_->pending.store(1, std::memory_order_seq_cst);
  if (guard_->lock.take_over(gone) || guard_->lock.try_lock(me_)) {
    settle();
    leave();
  }
  // Whatever wake-up the dead owed, or received and did not use.
  guard_->epoch.fetch_add(1, std::memory_order_release);
  os::futex_wake_all(guard_->epoch);
}

// Under the lock. `pending` is cleared before looking, so that no note is missed; whoever takes over from one who died in here does
// not need it, but settles anyway.
void Guarded::settle() {
  guard_->pending.store(0, std::memory_order_seq_cst);
  for (Slot slot = 0; slot < users_; ++slot) {
    const std::uint32_t end = note(slot).load(std::memory_order_seq_cst);
    if (end == 0) continue;
    forget(slot, end == static_cast<std::uint32_t>(End::finished) ? End::finished : End::died);
    commit(note(slot), 0);
  }
  recount();
}

void Guarded::settle_pending() {
  while (guard_->pending.load(std::memory_order_seq_cst) != 0 && guard_->lock.try_lock(me_)) {
    settle();
    guard_->epoch.fetch_add(1, std::memory_order_release);
    guard_->lock.unlock();
    os::futex_wake_all(guard_->epoch);
  }
}

}  // namespace troupe::sync
