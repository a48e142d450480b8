#include "sync/condition.h"

#include <algorithm>
#include <cerrno>
#include <limits>

#include <troupe/errors.h>

#include "os/futex.h"

namespace troupe::sync {
namespace {

enum What : std::uint32_t { vacant = 0, waiting = 1U << 30, notified = 2U << 30 };
constexpr std::uint32_t kWhat = 3U << 30;

constexpr std::uint32_t what(std::uint32_t state) { return state & kWhat; }
constexpr std::uint32_t seat_of(Slot slot, What what) { return what | (slot + 1); }
constexpr bool belongs_to(std::uint32_t state, Slot slot) { return (state & ~kWhat) == slot + 1; }

// Tells whoever waits there; false if it no longer does.
bool notify_at(Seat& seat) {
  std::uint32_t state = value_of(seat.state);
  if (what(state) != waiting) return false;
  if (!seat.state.compare_exchange_strong(state, (state & ~kWhat) | notified, std::memory_order_acq_rel)) return false;
  os::futex_wake_all(seat.state);
  return true;
}

}  // namespace

Condition::Condition(std::span<std::byte> memory, Slot me)
    : Condition(Parts(memory), shape_of(memory, Kind::condition, me), me, nullptr) {}
Condition::Condition(std::span<std::byte> memory, Slot me, const AnyLock& lock)
    : Condition(Parts(memory), shape_of(memory, Kind::condition, me), me, &lock) {}

Condition::Condition(Parts parts, const Shape& shape, Slot me, const AnyLock* lock)
    : lock_(RLock::part_of(parts, shape.users, me)), own_lock_(lock == nullptr), seats_(shape.count), me_(me) {
  part_ = parts.next<ConditionPart>();
  seat_ = parts.next<Seat>(seats_);
  if (lock == nullptr) return;
  lock_ = *lock;
  commit(part_->lock_elsewhere, 1);
}

bool Condition::wait(Duration timeout) { return wait_until(deadline_after(timeout)); }

bool Condition::wait_until(Clock::time_point deadline) {
  check_held();
  Seat& seat = take_seat();
  const std::uint32_t depth = lock_.release_all();
  const bool told = sleep_on(seat, deadline);
  lock_.acquire_all(depth);
  // Not before we have the lock: should we die until then, root tells the next one.
  if (told) commit(seat.state, vacant);
  return told;
}

// Under the lock, so nobody else takes one; others may only leave theirs.
Seat& Condition::take_seat() {
  const auto used = static_cast<std::uint32_t>(used_seats().size());
  std::uint32_t index = 0;
  while (index < used && value_of(seat_[index].state) != vacant) ++index;
  if (index == seats_) throw SystemError(EAGAIN, "Condition::wait: " + std::to_string(seats_) + " wait already, which is as many as can");
  if (index == used) commit(part_->used, used + 1);
  Seat& seat = seat_[index];
  const std::uint64_t ticket = value_of(part_->next_ticket);
  commit(part_->next_ticket, ticket + 1);
  commit(seat.ticket, ticket);
  commit(seat.state, seat_of(me_, waiting));
  return seat;
}

// True if notified; then the seat is still ours.
bool Condition::sleep_on(Seat& seat, Clock::time_point deadline) {
  const std::uint32_t mine = seat_of(me_, waiting);
  std::uint32_t state = mine;
  bool in_time = true;
  while (in_time && (state = seat.state.load(std::memory_order_acquire)) == mine) {
    lock_.part_->lock.check_whole();  // nobody could notify us any more
    in_time = os::futex_wait(seat.state, mine, deadline);
  }
  if (!in_time) {
    state = mine;
    if (seat.state.compare_exchange_strong(state, vacant, std::memory_order_acq_rel)) return false;
  }
  if (state != seat_of(me_, notified)) throw ProtocolError("a condition in shared memory is overwritten");
  return true;
}

void Condition::notify(std::uint32_t n) {
  check_held();
  while (n > 0 && notify_first()) --n;
}

void Condition::notify_all() {
  check_held();
  for (Seat& seat : used_seats()) notify_at(seat);
}

// Whoever waits longest. Root may do so at the same time, or the waiter may give up: then there is another first one.
bool Condition::notify_first() {
  while (true) {
    Seat* first = nullptr;
    std::uint64_t lowest = std::numeric_limits<std::uint64_t>::max();
    for (Seat& seat : used_seats()) {
      if (what(value_of(seat.state)) != waiting || value_of(seat.ticket) >= lowest) continue;
      first = &seat;
      lowest = value_of(seat.ticket);
    }
    if (first == nullptr) return false;
    if (notify_at(*first)) return true;
  }
}

std::uint32_t Condition::n_waiting() const {
  const auto seats = used_seats();
  return static_cast<std::uint32_t>(
      std::ranges::count_if(seats, [](Seat& seat) { return what(value_of(seat.state)) == waiting; }));
}

void Condition::recover(Slot dead) {
  std::uint32_t undelivered = 0;
  for (Seat& seat : used_seats()) {
    std::uint32_t state = value_of(seat.state);
    while (belongs_to(state, dead) && !seat.state.compare_exchange_weak(state, vacant, std::memory_order_acq_rel)) {
    }
    if (belongs_to(state, dead) && what(state) == notified) ++undelivered;
  }
  while (undelivered > 0 && notify_first()) --undelivered;

  const bool holds = lock_.part_->lock.held_by(dead);
  const std::uint32_t deaths = value_of(lock_.part_->deaths) + (holds ? 1 : 0);
  // Recovered without its lock, it cannot know who held that.
  const bool all = deaths != value_of(part_->deaths_seen) || (own_lock_ && value_of(part_->lock_elsewhere) != 0);
  commit(part_->deaths_seen, deaths);
  for (Seat& seat : used_seats()) {
    if (all) notify_at(seat);
    os::futex_wake_all(seat.state);  // it may have notified there, but not woken any more
  }
  if (own_lock_) lock_.recover(dead);
}

void Condition::wake_all() {
  for (Seat& seat : used_seats()) os::futex_wake_all(seat.state);
}

void Condition::check_held() const {
  if (!lock_.held_by_me()) throw NotHeld("a condition is waited for and notified under its lock");
}

std::span<Seat> Condition::used_seats() const { return {seat_, std::min(value_of(part_->used), seats_)}; }

}  // namespace troupe::sync
