#include "sync/lock.h"

#include "base/check.h"

namespace troupe::sync {
namespace {

// Shows root that we wait, for as long as it lives.
class Waiting {
 public:
  explicit Waiting(Word& waits) : waits_(waits) { waits_.fetch_add(kWaitBegins, std::memory_order_relaxed); }
  ~Waiting() { waits_.fetch_sub(1, std::memory_order_relaxed); }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;

 private:
  Word& waits_;
};

}  // namespace

AnyLock::AnyLock(std::span<std::byte> memory, Kind kind, Slot me) : me_(me), recursive_(kind == Kind::rlock) {
  users_ = shape_of(memory, kind, me).users;
  Parts parts(memory);
  part_ = parts.next<LockPart>();
  waits_ = parts.next<Word>(users_);
}

bool AnyLock::wait_until(Clock::time_point deadline) {
  TROUPE_CHECK(me_ < users_, "root only recovers and looks");
  const Waiting waiting(waits_[me_]);
  return part_->lock.lock_until(me_, deadline);
}

// Somebody has it, or it is no lock any more.
bool AnyLock::look_why_not() const {
  part_->lock.check_whole();
  return false;
}

void AnyLock::overwritten() const {
  part_->lock.break_for_good();
  shared::OwnerLock::throw_overwritten();
}

std::uint32_t AnyLock::release_all() {
  const std::uint32_t depth = recursive_ ? this->depth() : 0;
  if (recursive_) disown();
  if (!part_->lock.try_unlock(me_)) throw_not_held();
  return depth;
}

void AnyLock::acquire_all(std::uint32_t depth) {
  if (!part_->lock.try_lock(me_)) wait_until(Clock::time_point::max());
  if (recursive_) own(depth);
}

void AnyLock::recover(Slot dead) {
  check_slot(dead, users_);
  commit(waits_[dead], 0);
  if (recursive_ && part_->lock.held_by(dead)) disown();
  if (part_->lock.abandon(dead)) commit(part_->deaths, value_of(part_->deaths) + 1);
}

std::vector<Wait> AnyLock::waits() const {
  std::vector<Wait> all;
  const auto held_by = holder();
  if (!held_by) return all;
  for (Slot slot = 0; slot < users_; ++slot) {
    const std::uint32_t word = value_of(waits_[slot]);
    if ((word & kWaiters) != 0) all.push_back({slot, *held_by, word});
  }
  return all;
}

void AnyLock::throw_not_held() { throw NotHeld("release of a lock that is not held"); }

}  // namespace troupe::sync
