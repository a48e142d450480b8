#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <tuple>
#include <utility>

#include <troupe/duration.h>
#include <troupe/process_call.h>
#include <troupe/sync_errors.h>
#include <troupe/value.h>

// Python's locks and their kin, for any processes of the tree. All are handles: copies are the same thing, also those that were
// arguments of a Process or lay in a Queue; it is gone when its last user is.
//
//     void add(troupe::Lock lock, troupe::RawValue<int> sum) {
//       std::scoped_lock hold(lock);
//       sum.value() += 1;
//     }
//
// What holds: any process may be killed at any moment, and the others go on. A lock that it held goes to the next, who finds
// abandoned() true; its permits come back; who was notified in vain passes that on; a barrier breaks. Before anybody hears of a
// death, all this is done.
//
// Where a process has overwritten the shared memory, what cannot be is a ProtocolError for all who use that thing, now and ever after, also
// for those who sleep there; a lock that seems to be held is waited for until that process has ended. (An Event is one word, and any is
// possible.) In a process that the user forked by himself, all throw std::logic_error, and nothing of its parent's is released.
//
// Threads: any.
namespace troupe {

namespace detail {
class LockPart;  // framework/handles/sync_parts.h
class SemaphorePart;
class EventPart;
class ConditionPart;
class BarrierPart;

// What the last party at a barrier runs.
struct Action {
  int (*run)(std::span<const std::byte> bytes) = nullptr;
  std::uint32_t size = 0;
  std::array<std::uint64_t, 8> bytes{};  // captures, and that there are no arguments
};
}  // namespace detail

template <class Handle>
struct HandleCodec;

// What Lock and RLock have in common.
class AnyLock {
 public:
  // True when the lock is acquired. With block = false, or once `timeout` has passed, false.
  bool acquire(bool block = true, Duration timeout = kForever);
  // Throws NotHeld: a Lock that is free, an RLock that this thread does not hold.
  void release();

  // For std::scoped_lock and its like, whose destructors may not throw: unlock() does nothing where release() would throw.
  void lock() { acquire(); }
  [[nodiscard]] bool try_lock() { return acquire(false); }
  void unlock() noexcept;

  [[nodiscard]] bool locked() const;
  // For whoever holds it: the holder before died holding it, so what it guards may be half changed.
  [[nodiscard]] bool abandoned() const;

 protected:
  explicit AnyLock(std::shared_ptr<detail::LockPart> part) : part_(std::move(part)) {}

 private:
  template <class Handle>
  friend struct HandleCodec;
  friend class Condition;
  std::shared_ptr<detail::LockPart> part_;
};

// Any thread of any process may release it.
class Lock : public AnyLock {
 public:
  Lock();

 private:
  friend struct HandleCodec<Lock>;
  using AnyLock::AnyLock;
};

// Its holder, a thread, may acquire it again, and releases it as often.
class RLock : public AnyLock {
 public:
  RLock();
  // For those who hold the lock of something larger.
  explicit RLock(std::shared_ptr<detail::LockPart> part) : AnyLock(std::move(part)) {}

 private:
  friend struct HandleCodec<RLock>;
};

// A number of permits. Those of a process that died come back; those of one that finished are used up.
class Semaphore {
 public:
  explicit Semaphore(std::uint32_t value = 1) : Semaphore(value, false) {}
  // True with a permit. With block = false, or once `timeout` has passed, false.
  bool acquire(bool block = true, Duration timeout = kForever);
  // Throws std::invalid_argument for n = 0, std::overflow_error if there would be more than 2147483647.
  void release(std::uint32_t n = 1);
  [[nodiscard]] std::uint32_t get_value() const;

  void lock() { acquire(); }
  [[nodiscard]] bool try_lock() { return acquire(false); }
  void unlock() noexcept;

 protected:
  Semaphore(std::uint32_t value, bool bounded);
  explicit Semaphore(std::shared_ptr<detail::SemaphorePart> part) : part_(std::move(part)) {}

 private:
  template <class Handle>
  friend struct HandleCodec;
  std::shared_ptr<detail::SemaphorePart> part_;
};

// release() throws ReleasedTooOften where there would be more permits than at first.
class BoundedSemaphore : public Semaphore {
 public:
  explicit BoundedSemaphore(std::uint32_t value = 1) : Semaphore(value, true) {}

 private:
  friend struct HandleCodec<BoundedSemaphore>;
  using Semaphore::Semaphore;
};

// A flag that many wait for. Who waits when set() is called is released, even if clear() follows at once.
class Event {
 public:
  Event();
  [[nodiscard]] bool is_set() const;
  void set();
  void clear();
  // True when it is or was set; false once `timeout` has passed.
  bool wait(Duration timeout = kForever);

 private:
  friend struct HandleCodec<Event>;
  explicit Event(std::shared_ptr<detail::EventPart> part) : part_(std::move(part)) {}
  std::shared_ptr<detail::EventPart> part_;
};

// Waits, under a lock, until another says that what the lock guards has changed. With an RLock of its own, or with a given one. When a
// holder of the lock dies, all who wait are notified; so wait() may return with nothing changed, as in Python: use wait_for().
class Condition {
 public:
  Condition();
  explicit Condition(const AnyLock& lock);

  bool acquire(bool block = true, Duration timeout = kForever);
  void release();
  void lock() { acquire(); }
  [[nodiscard]] bool try_lock() { return acquire(false); }
  void unlock() noexcept;
  [[nodiscard]] bool abandoned() const;

  // Releases the lock, and has it again when it returns: true if notified, false if `timeout` passed first. Throws NotHeld.
  bool wait(Duration timeout = kForever) { return wait_until(deadline_after(timeout)); }
  // Waits until `predicate()`, which is called under the lock; its last result.
  template <class Predicate>
  bool wait_for(Predicate predicate, Duration timeout = kForever) {
    const auto deadline = deadline_after(timeout);
    bool holds = predicate();
    while (!holds && wait_until(deadline)) holds = predicate();
    return holds || predicate();
  }
  // Those who wait longest. Both throw NotHeld.
  void notify(std::uint32_t n = 1);
  void notify_all();

 private:
  template <class Handle>
  friend struct HandleCodec;
  friend struct Codec<Condition>;
  explicit Condition(std::shared_ptr<detail::ConditionPart> part) : part_(std::move(part)) {}
  bool wait_until(Clock::time_point deadline);
  std::shared_ptr<detail::ConditionPart> part_;
};

// All parties wait for one another, again and again. A process that was given the barrier is a party: if it dies, the barrier breaks,
// and those who wait are told its name.
class Barrier {
 public:
  explicit Barrier(std::uint32_t parties, Duration timeout = kForever);
  // The last party to arrive runs the action, before any goes on. If it throws, the barrier breaks, and that party gets what was
  // thrown. As the function of a Process, it captures copies only, here 32 bytes at most; what needs handles is better done by the
  // party whose wait() returns 0.
  template <std::invocable F>
  Barrier(std::uint32_t parties, F action, Duration timeout = kForever)
      : Barrier(parties, detail::make_call_of(action, kNothing, {}), timeout) {
    static_assert(detail::kFunctionRoom<F> <= 32, "a barrier's action may capture 32 bytes");
  }

  // 0 to parties() - 1, each once a round. Throws BrokenBarrierError; a time-out breaks the barrier.
  std::uint32_t wait(std::optional<Duration> timeout = {});
  // Back to empty and whole; those who wait get a BrokenBarrierError.
  void reset();
  // Breaks it.
  void abort();

  [[nodiscard]] std::uint32_t parties() const;
  [[nodiscard]] std::uint32_t n_waiting() const;
  [[nodiscard]] bool broken() const;

 private:
  friend struct Codec<Barrier>;
  Barrier(std::shared_ptr<detail::BarrierPart> part, Duration timeout) : part_(std::move(part)), timeout_(timeout) {}
  Barrier(std::uint32_t parties, const detail::Call& action, Duration timeout);
  static constexpr std::tuple<> kNothing{};
  std::shared_ptr<detail::BarrierPart> part_;
  Duration timeout_;
};

// How a handle that is nothing but its thing travels.
template <class Handle>
struct HandleCodec {
  using Wire = std::uint64_t;
  static Wire pack(const Handle& handle, Attachments& attachments);
  static Handle unpack(Wire id, const Attachments&);
};
extern template struct HandleCodec<Lock>;
extern template struct HandleCodec<RLock>;
extern template struct HandleCodec<Semaphore>;
extern template struct HandleCodec<BoundedSemaphore>;
extern template struct HandleCodec<Event>;

template <>
struct Codec<Lock> : HandleCodec<Lock> {
  static constexpr std::string_view name = "lock";
};
template <>
struct Codec<RLock> : HandleCodec<RLock> {
  static constexpr std::string_view name = "rlock";
};
template <>
struct Codec<Semaphore> : HandleCodec<Semaphore> {
  static constexpr std::string_view name = "semaphore";
};
template <>
struct Codec<BoundedSemaphore> : HandleCodec<BoundedSemaphore> {
  static constexpr std::string_view name = "bounded semaphore";
};
template <>
struct Codec<Event> : HandleCodec<Event> {
  static constexpr std::string_view name = "event";
};
template <>
struct Codec<Condition> {
  static constexpr std::string_view name = "condition";
  using Wire = std::tuple<std::uint64_t, std::uint64_t>;  // and its lock, or 0
  static Wire pack(const Condition& condition, Attachments& attachments);
  static Condition unpack(Wire wire, const Attachments&);
};
template <>
struct Codec<Barrier> {
  static constexpr std::string_view name = "barrier";
  // And the time-out, and where its action lies (module, offset, build) with its bytes, 0 of them if it has none.
  using Wire = std::tuple<std::uint64_t, std::int64_t, std::uint32_t, std::uint64_t, std::uint64_t, std::uint32_t,
                          std::array<std::uint64_t, 8>>;
  static Wire pack(const Barrier& barrier, Attachments& attachments);
  static Barrier unpack(Wire wire, const Attachments&);
};

}  // namespace troupe
