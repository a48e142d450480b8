#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <utility>

#include <troupe/duration.h>

#include "os/fence.h"
#include "shared/owner_lock.h"
#include "shared/slot.h"

namespace troupe::shared {

namespace detail {
extern std::atomic<std::uint32_t> forks_seen;
}  // namespace detail

// How often this process is a fork of another one, since the program began: what its parent holds is not its own.
[[nodiscard]] inline std::uint32_t forks() { return detail::forks_seen.load(std::memory_order_relaxed); }

// An OwnerLock that is cheap for a thread that takes it again and again: after some times with nobody in between, the thread keeps it.
// It leaves the word locked and only notes, in a word of its own, whether it is busy under it: two plain stores instead of two atomic
// changes, 2 ns instead of 11. Who else wants the lock marks it as wanted, has all CPUs pass a heavy fence, and takes it from a keeper
// that is not busy. How often that happened makes it harder to keep it again.
//
//     lock.allow_keeping();                     // by who makes it
//     KeptLock::User user(lock, slot);          // in each process
//     if (const Held held{user, deadline}) …
//
// Any process may be killed at any instruction: abandon() and take_over() are those of OwnerLock, and do nothing more than free the lock
// where the dead one kept it and was not busy.
class KeptLock {
 public:
  class User;

  // Before anybody uses it. Otherwise, or where the system has no heavy fences, it is an OwnerLock.
  void allow_keeping() { allowed_ = os::join_heavy_fences() ? 1 : 0; }

  [[nodiscard]] bool may_be_kept() const { return allowed_ != 0; }

  // The unlocking side of the lock may take a light fence only. In the order of all: whoever declares a wish first, and then finds this
  // to be false, is seen by all later unlocks.
  [[nodiscard]] bool is_kept() const { return (lock_.word_.load(std::memory_order_seq_cst) & OwnerLock::kKept) != 0; }

  // Who is busy under it.
  [[nodiscard]] std::optional<Slot> holder() const;

  // By root, when `dead` is: was it busy under the lock?
  [[nodiscard]] bool held_by_dead(Slot dead) const;
  bool abandon(Slot dead);
  [[nodiscard]] bool take_over(Slot dead);
  // After take_over().
  void unlock() { lock_.unlock(); }

  // As those of OwnerLock.
  void break_for_good() { lock_.break_for_good(); }
  [[nodiscard]] bool is_broken() const { return lock_.is_broken(); }
  void check_whole() const { lock_.check_whole(); }
  // Whoever seems to have it, busy or not.
  [[nodiscard]] std::optional<Slot> owner() const { return lock_.holder(); }

 private:
  // Of a process that keeps the lock now or did. There are only a few: who finds none does without.
  struct Seat {
    std::atomic<std::uint32_t> owner{0};  // its slot + 1, or 0
    std::atomic<std::uint32_t> busy{0};   // written by the owner alone, whatever became of the lock meanwhile
  };
  static constexpr std::uint32_t kSeats = 4;

  [[nodiscard]] const Seat& seat_of(std::uint32_t word) const { return seats_[(word >> OwnerLock::kSeatShift) % kSeats]; }
  friend class OwnerLock;
  [[nodiscard]] bool take_from_keeper(std::uint32_t seen, Slot me);
  std::atomic<std::uint32_t>* take_seat(Slot me);
  std::uint32_t kept_by(Slot me, const std::atomic<std::uint32_t>* busy);
  void leave_seat(Slot dead);

  OwnerLock lock_;
  std::uint32_t allowed_ = 0;
  std::atomic<std::uint32_t> last_{0};   // slot + 1 of who had it last; under the lock
  std::atomic<std::uint32_t> keeps_{0};  // how often it was kept; under the lock
  std::atomic<std::uint32_t> taken_{0};  // how often it was wanted by another while it was kept
  std::array<Seat, kSeats> seats_;
};

static_assert(sizeof(KeptLock) == 52);

// One process's use of a lock.
//
// Threads: any; they exclude one another.
class KeptLock::User {
 public:
  // Throws SystemError where the lock may be kept and this process cannot have heavy fences.
  User(KeptLock& lock, Slot me);
  User(const User&) = delete;
  User& operator=(const User&) = delete;

  enum class Hold { none, plain, kept };
  // none if `deadline` passed first. Throws ProtocolError if the word is not one of ours.
  [[nodiscard]] Hold lock_until(Clock::time_point deadline) {
    if (enter()) [[likely]] return Hold::kept;
    if (keeper_.load(std::memory_order_relaxed) == thread_number) give_up();
    return lock_plain(deadline);
  }

  // In the order of all for those who take a heavy fence where the lock is kept.
  void unlock(Hold hold) {
    if (hold == Hold::plain) [[unlikely]] return unlock_plain();
    if (!leave()) [[unlikely]] give_up();
  }

  // The same in a few instructions and no calls, but only where this thread keeps the lock and nobody wants it: else false, and nothing was
  // done. True in the process that keeps it, never in one that was forked from it; and while what it guards is whole, see break_for_good().
  [[nodiscard]] bool enter() {
    if (keeper_.load(std::memory_order_relaxed) != thread_number) [[unlikely]] return false;
    busy_->store(1, std::memory_order_relaxed);
    os::light_fence();
    if (lock_.lock_.word_.load(std::memory_order_relaxed) == kept_) [[likely]] return true;
    busy_->store(0, std::memory_order_release);
    return false;
  }
  // After enter(). False if somebody wants the lock: give_up() then.
  [[nodiscard]] bool leave() {
    busy_->store(0, std::memory_order_release);
    os::light_fence();
    return lock_.lock_.word_.load(std::memory_order_relaxed) == kept_;
  }
  void give_up();

 private:
  static constexpr std::uint64_t kNoKeeper = 0;
  static constexpr std::uint64_t kNoNumber = ~std::uint64_t{0};  // yet
  struct Living;  // a thread, while it does
  static std::uint64_t this_thread();
  __attribute__((tls_model("initial-exec"))) static thread_local constinit std::uint64_t thread_number;

  Hold lock_plain(Clock::time_point deadline);
  void unlock_plain();
  bool may_keep();
  bool keep();

  KeptLock& lock_;
  const Slot me_;
  const bool allowed_;
  const std::uint32_t forks_;  // when it was made: a forked child has the same seat, and must not sit there, too
  std::atomic<std::uint64_t> keeper_{kNoKeeper};  // the thread of ours that keeps it, as far as it knows: it ends that itself
  std::uint32_t kept_ = 0;                        // the keeper's: what the word was made
  std::atomic<std::uint32_t>* busy_ = nullptr;    // the keeper's: our seat
  std::uint64_t thread_ = kNoNumber;              // under the lock: who had it last
  std::uint32_t streak_ = 0;                      // under the lock: how often, with nobody else in between
};

// Holds a lock to the end of the block, or until release().
//
// Threads: confined to one.
class Held {
 public:
  // Not held if the deadline has passed.
  Held(KeptLock::User& lock, Clock::time_point deadline) : lock_(lock), hold_(lock.lock_until(deadline)) {}
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;
  ~Held() { release(); }

  explicit operator bool() const { return hold_ != KeptLock::User::Hold::none; }
  // Nobody else has had it since this thread did, but for root after a death.
  [[nodiscard]] bool was_kept() const { return hold_ == KeptLock::User::Hold::kept; }
  void release() {
    const auto hold = std::exchange(hold_, KeptLock::User::Hold::none);
    if (hold != KeptLock::User::Hold::none) lock_.unlock(hold);
  }

 private:
  KeptLock::User& lock_;
  KeptLock::User::Hold hold_;
};

}  // namespace troupe::shared
