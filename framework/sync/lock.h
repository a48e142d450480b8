#pragma once

#include <pthread.h>

#include <exception>
#include <optional>
#include <span>
#include <vector>

#include <troupe/duration.h>

#include "sync/errors.h"
#include "sync/layout.h"

namespace troupe::sync {

using shared::Slot;

// Somebody waits for a lock that somebody holds.
struct Wait {
  Slot waiter;
  Slot holder;
  std::uint32_t since;  // the same as before if and only if the waiter waited all the time
};

// What Lock and RLock have in common, and what a Condition needs of its lock: Python's methods, and those of a standard mutex.
//
//     Lock lock(memory, me);
//     {
//       std::scoped_lock hold(lock);
//       if (lock.abandoned()) repair();  // a process was killed while it held the lock
//       …
//     }
//
// When the holder dies, root's recover() passes the lock on: the next holder finds abandoned() true until it releases. Waiters that
// die are forgotten. Whoever waits, and for whom, stands in the memory: see waits() and wait_graph.h. Throws ProtocolError, now and
// ever after, where somebody has overwritten the memory.
//
// Threads: any. A value: copies are the same lock.
class AnyLock {
 public:
  // True when the lock is acquired. With block = false, or once `timeout` has passed, false.
  bool acquire(bool block = true, Duration timeout = kForever) {
    if (recursive_ && acquire_again()) return true;
    if (!part_->lock.try_lock(me_) && !(block ? wait_until(deadline_after(timeout)) : look_why_not())) return false;
    if (recursive_) own(1);
    return true;
  }

  // Lock: by anybody; RLock: by the thread that holds it. Otherwise throws NotHeld.
  void release() {
    if (recursive_ && !release_own()) return;
    if (!part_->lock.try_unlock(me_)) throw_not_held();
  }

  void lock() { acquire(); }
  [[nodiscard]] bool try_lock() { return acquire(false); }
  [[nodiscard]] bool try_lock_for(Duration timeout) { return acquire(true, timeout); }
  // For std::scoped_lock and its like, which may not throw: where release() would, nothing happens.
  void unlock() noexcept {
    try {
      release();
    } catch (const std::exception&) {
    }
  }

  [[nodiscard]] bool locked() const { return part_->lock.holder().has_value(); }
  [[nodiscard]] std::optional<Slot> holder() const { return part_->lock.holder(); }
  // Lock: by this process; RLock: by this thread.
  [[nodiscard]] bool held_by_me() const {
    return part_->lock.held_by(me_) && (!recursive_ || value_of(part_->thread) == this_thread());
  }
  // The holder before this one died holding it.
  [[nodiscard]] bool abandoned() const { return part_->lock.abandoned(); }

  // By root, once `dead` is.
  void recover(Slot dead);
  // For root: who waits, at about this moment.
  [[nodiscard]] std::vector<Wait> waits() const;

 protected:
  friend class Condition;
  AnyLock(LockPart* part, Word* waits, std::uint32_t users, Slot me, bool recursive)
      : part_(part), waits_(waits), users_(users), me_(me), recursive_(recursive) {}
  AnyLock(std::span<std::byte> memory, Kind kind, Slot me);

 private:
  // Of this process, for as long as the thread lives; never 0.
  static std::uint64_t this_thread() { return static_cast<std::uint64_t>(::pthread_self()); }

  bool acquire_again() {
    if (!held_by_me()) return false;
    commit(part_->depth, depth() + 1);
    return true;
  }
  [[nodiscard]] std::uint32_t depth() const {
    const std::uint32_t depth = value_of(part_->depth);
    if (depth - 1 >= kDepthMax) [[unlikely]] overwritten();
    return depth;
  }
  void own(std::uint32_t depth) {
    commit(part_->thread, this_thread());
    commit(part_->depth, depth);
  }
  // True when that was the last release.
  bool release_own() {
    if (!held_by_me()) throw_not_held();
    if (const std::uint32_t times = depth(); times > 1) {
      commit(part_->depth, times - 1);
      return false;
    }
    disown();
    return true;
  }
  void disown() {
    commit(part_->thread, 0);
    commit(part_->depth, 0);
  }

  // For a Condition: however often it was acquired.
  std::uint32_t release_all();
  void acquire_all(std::uint32_t depth);

  bool wait_until(Clock::time_point deadline);
  // False; or throws.
  bool look_why_not() const;
  [[noreturn]] void overwritten() const;
  [[noreturn]] static void throw_not_held();

  static constexpr std::uint32_t kDepthMax = 1U << 30;

  LockPart* part_;
  Word* waits_;
  std::uint32_t users_;
  Slot me_;
  bool recursive_;
};

// threading.Lock: not owned by a thread; any thread of any user may release it.
class Lock : public AnyLock {
 public:
  static std::size_t memory_size(std::uint32_t users) { return sync::memory_size({Kind::lock, users}); }
  static void format(std::span<std::byte> memory, std::uint32_t users) { sync::format(memory, {Kind::lock, users}); }
  Lock(std::span<std::byte> memory, Slot me) : AnyLock(memory, Kind::lock, me) {}
};

// threading.RLock: its holder may acquire it again, and releases it as often.
class RLock : public AnyLock {
 public:
  static std::size_t memory_size(std::uint32_t users) { return sync::memory_size({Kind::rlock, users}); }
  static void format(std::span<std::byte> memory, std::uint32_t users) { sync::format(memory, {Kind::rlock, users}); }
  RLock(std::span<std::byte> memory, Slot me) : AnyLock(memory, Kind::rlock, me) {}
  // The lock of something larger: the next parts of it.
  static RLock part_of(Parts& parts, std::uint32_t users, Slot me) {
    auto* part = parts.next<LockPart>();
    return {part, parts.next<Word>(users), users, me};
  }

 private:
  RLock(LockPart* part, Word* waits, std::uint32_t users, Slot me) : AnyLock(part, waits, users, me, true) {}
};

}  // namespace troupe::sync
