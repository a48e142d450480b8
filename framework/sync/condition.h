#pragma once

#include <span>

#include "sync/lock.h"

namespace troupe::sync {

// threading.Condition: wait, under a lock, until another says that what the lock guards has changed.
//
//     Condition ready(memory, me);
//     {
//       std::scoped_lock hold(ready);
//       ready.wait_for([&] { return *stock > 0; });
//       --*stock;
//     }
//
// Notified are those who wait, in the order in which they came. When a user dies that was notified but had not got the lock back, the
// next one is notified instead. When the holder of the lock dies, all are: nobody knows what it changed, or whom it would have
// notified; abandoned() is true for the first of them. So, as in Python, wait() may return with nothing changed: use wait_for().
//
// Threads: any. A value: copies are the same condition. At most seats() threads of all users wait at a time.
class Condition {
 public:
  static constexpr std::uint32_t kSeats = 256;
  static std::size_t memory_size(std::uint32_t users, std::uint32_t seats = kSeats) {
    return sync::memory_size({Kind::condition, users, seats});
  }
  static void format(std::span<std::byte> memory, std::uint32_t users, std::uint32_t seats = kSeats) {
    sync::format(memory, {Kind::condition, users, seats});
  }
  // With an RLock of its own, or with another lock, which all users of this condition must give it.
  Condition(std::span<std::byte> memory, Slot me);
  Condition(std::span<std::byte> memory, Slot me, const AnyLock& lock);

  bool acquire(bool block = true, Duration timeout = kForever) { return lock_.acquire(block, timeout); }
  void release() { lock_.release(); }
  void lock() { lock_.lock(); }
  [[nodiscard]] bool try_lock() { return lock_.try_lock(); }
  void unlock() noexcept { lock_.unlock(); }
  [[nodiscard]] bool abandoned() const { return lock_.abandoned(); }
  [[nodiscard]] AnyLock& get_lock() { return lock_; }

  // Releases the lock, however often it was acquired, and has it again when it returns: true if notified, false if `timeout` passed
  // first. Throws NotHeld without the lock, SystemError(EAGAIN) when all seats are taken.
  bool wait(Duration timeout = kForever);
  bool wait_until(Clock::time_point deadline);

  // Waits until `predicate()`, which is called under the lock; its last result.
  template <class Predicate>
  bool wait_for(Predicate predicate, Duration timeout = kForever) {
    const auto deadline = deadline_after(timeout);
    bool holds = predicate();
    while (!holds && wait_until(deadline)) holds = predicate();
    return holds || predicate();
  }

  // Both throw NotHeld without the lock.
  void notify(std::uint32_t n = 1);
  void notify_all();

  [[nodiscard]] std::uint32_t seats() const { return seats_; }
  // Threads that wait and are not notified yet.
  [[nodiscard]] std::uint32_t n_waiting() const;

  // By root, once `dead` is; whether before or after the recovery of a lock that is not the condition's own does not matter. Without
  // that lock, root may recover the condition, too: then all who wait look again.
  void recover(Slot dead);
  [[nodiscard]] std::vector<Wait> waits() const { return lock_.waits(); }
  // So that all who wait look whether the lock is broken.
  void wake_all();

 private:
  Condition(Parts parts, const Shape& shape, Slot me, const AnyLock* lock);

  Seat& take_seat();
  bool sleep_on(Seat& seat, Clock::time_point deadline);
  bool notify_first();
  void check_held() const;
  std::span<Seat> used_seats() const;

  AnyLock lock_;
  bool own_lock_;
  ConditionPart* part_;
  Seat* seat_;
  std::uint32_t seats_;
  Slot me_;
};

}  // namespace troupe::sync
