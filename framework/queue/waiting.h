#pragma once

#include <cstdint>

#include <troupe/duration.h>

#include "os/affinity.h"
#include "os/fence.h"
#include "os/futex.h"
#include "queue/queue_memory.h"
#include "shared/patience.h"

namespace troupe::queue {

// The deadline of those who do not wait at all.
inline constexpr Clock::time_point kNow = Clock::time_point::min();

// How users wait for what others will do, and are woken by it. The rules:
//
// * A waiter reads `epoch`, sets `want` (declare()) and then looks again; only then it sleeps on that epoch (Waiter::again()).
// * Whoever changes something looks at `want` when it has unlocked; if it is set, takes it back, moves the epoch and wakes one.
// * A woken waiter may be one of many, and the others' wish went with the wake-up: so it sets `want` again when it is done, and
//   hands the signal on if there is more to be had (the baton: Waiter::pass_on()).
// * A wake-up dies with a killed waker, or with the woken one. recover() therefore moves every epoch and wakes all.

inline void wake_all(Wait& area) {
  area.epoch.fetch_add(1, std::memory_order_seq_cst);
  os::futex_wake_all(area.epoch);
}

// With what comes after it in order with unlocking, which is no full fence where a lock is kept. Those who wait for the queue to be idle
// wait for leases as well, which end outside of the locks.
inline void declare(const QueueMemory& memory, Wait& area) {
  const ControlArea& control = memory.control();
  area.want.store(1, std::memory_order_seq_cst);
  if (control.put.lock.is_kept() || control.get.lock.is_kept() || (&area == &control.room.idle && control.get.lock.may_be_kept()))
    os::heavy_fence();
}

void signal_slowly(Wait& area);
void signal_all_slowly(Wait& area);

// After a change that one waiter may wait for, and after unlocking or a full fence.
inline void signal(Wait& area) {
  if (area.want.load(std::memory_order_seq_cst) != 0) [[unlikely]] signal_slowly(area);
}

// The same where those who wait do not all wait for the same.
inline void signal_all(Wait& area) {
  if (area.want.load(std::memory_order_seq_cst) != 0) [[unlikely]] signal_all_slowly(area);
}

// Those whom one waits for, as a process knows them: how long it pays to look for what they do next. Where one runs is noted when it
// waits, and when it wakes one of them.
struct Others {
  HalfWord& our_cpu;
  HalfWord& their_cpu;
  shared::Patience patience = {};

  void note_cpu() {
    const auto here = static_cast<std::uint32_t>(os::current_cpu() + 1);
    if (our_cpu.load(std::memory_order_relaxed) != here) our_cpu.store(here, std::memory_order_relaxed);
  }
  // Who is waited for on this CPU cannot run while we look.
  template <class Happened>
  bool act_soon(Clock::time_point deadline, const Happened& happened) {
    note_cpu();
    const auto theirs = their_cpu.load(std::memory_order_relaxed);
    const bool elsewhere = theirs != 0 && theirs != our_cpu.load(std::memory_order_relaxed);
    return elsewhere ? patience.sees(deadline, happened) : happened();
  }
};

inline void signal(Wait& area, Others& others) {
  if (area.want.load(std::memory_order_seq_cst) == 0) [[likely]] return;
  others.note_cpu();
  signal_slowly(area);
}

// One operation that may have to wait:
//
//     Waiter waiter(memory, area, &may_have_items, deadline);
//     while (!try_it())
//       if (!waiter.again(others, &may_have_items)) return late;
//
// Threads: confined to one.
class Waiter {
 public:
  // `more` tells whether another waiter would find something, too.
  using More = bool (*)(const QueueMemory&);
  Waiter(const QueueMemory& memory, Wait& area, More more, Clock::time_point deadline)
      : memory_(memory), area_(area), more_(more), deadline_(deadline) {}
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;
  ~Waiter() {
    if (slept_) [[unlikely]] pass_on();
  }

  // Call it when there was nothing to be had, then look again; false if the deadline has passed. Declares its wish, then sleeps.
  [[nodiscard]] bool again();
  // The same, but first it looks for a moment whether the others do what makes `enough` true, or at least `more`. Not for ever: others may
  // be quicker, and room may be too small for an item.
  [[nodiscard]] bool again(Others& others, More enough) {
    if (deadline_ == kNow || armed_ || looks_ == kLooksMax) return again();
    ++looks_;
    return others.act_soon(deadline_, [&] { return enough(memory_); }) || more_(memory_) || again();
  }

 private:
  void pass_on();

  const QueueMemory& memory_;
  Wait& area_;
  More more_;
  Clock::time_point deadline_;
  std::uint32_t epoch_ = 0;
  static constexpr int kLooksMax = 8;
  int looks_ = 0;  // since it slept
  bool armed_ = false;
  bool slept_ = false;
};

}  // namespace troupe::queue
