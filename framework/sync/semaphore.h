#pragma once

#include <span>

#include "sync/errors.h"
#include "sync/guarded.h"

namespace troupe::sync {

// threading.Semaphore: a number of permits.
//
//     Semaphore rooms(memory, me);
//     rooms.acquire();
//     …
//     rooms.release();
//
// It is known who holds how many. Those of a user that died come back; those of one that finished are used up, as in Python, where a
// semaphore may carry signals rather than permits. A permit that is released by a user who holds none is one that another holds; if
// nobody holds any, it is a new one (of a BoundedSemaphore there are no new ones).
//
// Threads: any.
class Semaphore : public Guarded {
 public:
  static std::size_t memory_size(std::uint32_t users) { return sync::memory_size({Kind::semaphore, users}); }
  static void format(std::span<std::byte> memory, std::uint32_t users, std::uint32_t value = 1) {
    sync::format(memory, {Kind::semaphore, users, value});
  }
  Semaphore(std::span<std::byte> memory, Slot me) : Semaphore(memory, Kind::semaphore, me) {}

  // True with a permit. With block = false, or once `timeout` has passed, false.
  bool acquire(bool block = true, Duration timeout = kForever);
  // Throws std::invalid_argument for n = 0, std::overflow_error if there would be more than 2147483647.
  void release(std::uint32_t n = 1);
  // Permits that may be acquired now.
  [[nodiscard]] std::uint32_t get_value() const;
  [[nodiscard]] std::uint32_t held_by(Slot slot) const;
  // Threads that wait for one.
  [[nodiscard]] std::uint32_t n_waiting() const { return value_of(permits_->sleepers); }

 protected:
  Semaphore(std::span<std::byte> memory, Kind kind, Slot me);

 private:
  [[nodiscard]] Word& note(Slot slot) const override { return user_[slot].note; }
  void forget(Slot gone, End end) override;
  void recount() override;

  [[nodiscard]] std::uint32_t available() const;  // throws ProtocolError for what cannot be
  bool take();
  void give(std::uint32_t n);
  void queue_up(bool on);
  void check_release(std::uint32_t n);

  SemaphorePart* permits_ = nullptr;
  SemaphoreUser* user_ = nullptr;
  std::uint32_t bound_;
  bool bounded_;
};

// threading.BoundedSemaphore: release() throws ReleasedTooOften where there would be more permits than at first.
class BoundedSemaphore : public Semaphore {
 public:
  static std::size_t memory_size(std::uint32_t users) { return sync::memory_size({Kind::bounded_semaphore, users}); }
  static void format(std::span<std::byte> memory, std::uint32_t users, std::uint32_t value = 1) {
    sync::format(memory, {Kind::bounded_semaphore, users, value});
  }
  BoundedSemaphore(std::span<std::byte> memory, Slot me) : Semaphore(memory, Kind::bounded_semaphore, me) {}
};

}  // namespace troupe::sync
