#include "sync/semaphore.h"

#include <algorithm>
#include <stdexcept>

namespace troupe::sync {
namespace {

constexpr std::uint32_t held_in(std::uint64_t taken) { return static_cast<std::uint32_t>(taken); }
constexpr std::uint32_t used_in(std::uint64_t taken) { return static_cast<std::uint32_t>(taken >> 32); }

}  // namespace

// What commits is a user's `taken`, and `total` for new permits; `available` and `sleepers` follow from them.

Semaphore::Semaphore(std::span<std::byte> memory, Kind kind, Slot me) : Guarded(shape_of(memory, kind, me).users, me) {
  const Shape shape = shape_of(memory, kind, me);
  Parts parts(memory);
  guard_with(parts.next<GuardPart>());
  permits_ = parts.next<SemaphorePart>();
  user_ = parts.next<SemaphoreUser>(users());
  bound_ = shape.count;
  bounded_ = kind == Kind::bounded_semaphore;
}

bool Semaphore::acquire(bool block, Duration timeout) {
  enter();
  bool got = take();
  if (!got && block) {
    const auto deadline = deadline_after(timeout);
    queue_up(true);
    for (bool in_time = true; !got && in_time; got = take()) in_time = sleep(deadline);
    queue_up(false);
  }
  leave();
  return got;
}

void Semaphore::release(std::uint32_t n) {
  if (n == 0) throw std::invalid_argument("a semaphore releases one permit or more");
  enter();
  try {
    check_release(n);
  } catch (...) {
    leave();  // a broken guard stays so
    throw;
  }
  give(n);
  if (value_of(permits_->sleepers) != 0) return leave_and_wake(static_cast<int>(n));
  leave();
}

std::uint32_t Semaphore::get_value() const { return permits_->available.load(std::memory_order_acquire); }
std::uint32_t Semaphore::held_by(Slot slot) const {
  check_slot(slot, users());
  return held_in(value_of(user_[slot].taken));
}

std::uint32_t Semaphore::available() const {
  const std::uint32_t available = value_of(permits_->available);
  if (available > INT32_MAX) overwritten();
  return available;
}

bool Semaphore::take() {
  const std::uint32_t available = this->available();
  if (available == 0) return false;
  WideWord& taken = user_[me()].taken;
  commit(taken, value_of(taken) + 1);
  commit(permits_->available, available - 1);
  return true;
}

// Ours first, then anybody's, then new ones.
void Semaphore::give(std::uint32_t n) {
  const auto from = [&](Slot slot) {
    WideWord& taken = user_[slot].taken;
    const std::uint32_t returned = std::min(n, held_in(value_of(taken)));
    if (returned == 0) return;
    commit(taken, value_of(taken) - returned);
    commit(permits_->available, value_of(permits_->available) + returned);
    n -= returned;
  };
  from(me());
  for (Slot slot = 0; n != 0 && slot < users(); ++slot) from(slot);
  if (n == 0 || bounded_) return;
  commit(permits_->total, value_of(permits_->total) + n);
  commit(permits_->available, value_of(permits_->available) + n);
}

void Semaphore::queue_up(bool on) {
  const std::uint32_t change = on ? 1 : ~0U;
  Word& waiting = user_[me()].waiting;
  commit(waiting, value_of(waiting) + change);
  commit(permits_->sleepers, value_of(permits_->sleepers) + change);
}

void Semaphore::check_release(std::uint32_t n) {
  const std::uint64_t after = std::uint64_t{available()} + n;
  if (bounded_ && after > bound_) throw ReleasedTooOften("a bounded semaphore was released more often than acquired");
  if (after > INT32_MAX) throw std::overflow_error("a semaphore's value is 2147483647 at most");
}

void Semaphore::forget(Slot gone, End end) {
  SemaphoreUser& user = user_[gone];
  const std::uint64_t taken = value_of(user.taken);
  const std::uint32_t used_up = end == End::finished && !bounded_ ? held_in(taken) : 0;
  commit(user.taken, std::uint64_t{used_in(taken) + used_up} << 32);
  commit(user.waiting, 0);
}

void Semaphore::recount() {
  std::uint32_t available = value_of(permits_->total);
  std::uint32_t sleepers = 0;
  for (Slot slot = 0; slot < users(); ++slot) {
    const std::uint64_t taken = value_of(user_[slot].taken);
    available -= held_in(taken) + used_in(taken);
    sleepers += value_of(user_[slot].waiting);
  }
  commit(permits_->available, available);
  commit(permits_->sleepers, sleepers);
}

}  // namespace troupe::sync
