#pragma once

#include <atomic>
#include <cstdint>

#include <troupe/duration.h>

#include "os/descriptor.h"

namespace troupe::process {

// What a watched process and root share: one page. Either may write anything into it; root believes none of it further than to
// leave a process alone that says it is well.
struct Pulse {
  std::atomic<std::uint64_t> beats{0};      // grows with everything that the handler thread begins
  std::atomic<std::uint32_t> busy{0};       // it is at work, so beats must come
  std::atomic<std::uint32_t> armed{0};      // the timer runs: at work or not, it fires once
  std::atomic<std::uint64_t> beats_then{0}; // when it was armed
  std::atomic<std::int64_t> armed_at{0};    // nanoseconds of Clock
};

// The heart of a watched process: tells root when its handler thread is at work and whether it gets on. Costs nothing while that
// sleeps, three stores when it wakes up and goes to sleep, one system call per quarter of a period in which it was awake at all.
//
//     heart->awake();                 // epoll_wait() returned
//     heart->beat();                  // a handler begins
//     heart->asleep();                // nothing to do
//
// In root it is where the pulse is felt. It is made before the fork, so that both have it:
//
//     auto heart = std::make_unique<Heart>(std::chrono::seconds(1));
//     // heart->descriptor() is readable: a quarter of the period has passed since it was armed
//     if (heart->silent() && heart->stopped_beating()) kill(…);
//
// Threads: in the process, of its handler thread; in root, of root.
class Heart {
 public:
  explicit Heart(Duration period);
  ~Heart();
  Heart(const Heart&) = delete;
  Heart& operator=(const Heart&) = delete;

  // Of this process, if it is watched.
  static Heart* here();
  static void set_here(Heart* heart);

  void awake() {
    beat();  // what was silent before it slept is past
    pulse_->busy.store(1, std::memory_order_seq_cst);  // before `armed` is read: felt() clears that, then reads this
    if (pulse_->armed.load(std::memory_order_seq_cst) == 0) arm();
  }
  void beat() { pulse_->beats.store(pulse_->beats.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed); }
  void asleep() { pulse_->busy.store(0, std::memory_order_release); }

  [[nodiscard]] Duration period() const { return period_; }
  // A timer. In the child it must stay open.
  [[nodiscard]] int descriptor() const { return timer_.get(); }
  // In root, when the timer has fired: whether the thread has been at work since it was armed and nothing came of it. If not, the timer is
  // armed again as long as it is at work. Root itself may have been late, as it is after Ctrl-Z and fg, when a debugger held it, or on a
  // machine that is far too busy: then the process gets the whole period once more.
  bool silent();
  // After that: whether it has been so for the whole period. If not, the timer is armed again.
  bool stopped_beating();
  // Instead: the whole period once more.
  void look_again();
  // In root, after its fork: children forked later do not get this page.
  void keep_to_these();

  // So late is root when it was not running itself.
  [[nodiscard]] static bool too_late(Clock::time_point due, Duration period);

 private:
  void arm();
  void look_on();

  static constexpr unsigned kLooks = 4;  // a period
  const Duration period_;
  Pulse* pulse_;
  os::Descriptor timer_;
  unsigned silent_looks_ = 0;  // in a row; root's
};

}  // namespace troupe::process
