#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>

#include <troupe/duration.h>

#include "shared/spin.h"

namespace troupe::shared {

// How long to look again and again, before sleeping, for what a process on another CPU is about to do. To be woken costs both sides
// microseconds, tens of them where a CPU has to leave its idle state; so it looks for as long, but only as long as that pays: each time in vain
// halves it, down to nothing. Then it looks for long once in a while, since two who sleep in turn would never find out.
//
//     if (patience.sees(deadline, [&] { return ring.has_more(); })) …
//
// Only for what happens on another CPU: on the same one, to look is to be in its way.
//
// Threads: any.
class Patience {
 public:
  template <class Happened>
  bool sees(Clock::time_point deadline, Happened happened) {
    const auto time = time_.load(std::memory_order_relaxed);
    const auto rests = rests_.load(std::memory_order_relaxed);
    if (time == 0 && rests > 0) {
      rests_.store(rests - 1, std::memory_order_relaxed);
      return happened();
    }
    if (looks(kLooksAtFirst, happened)) return paid();
    const auto end = std::min(deadline, Clock::now() + std::chrono::microseconds(time > 0 ? time : kProbe));
    do {
      if (looks(kLooksPerClock, happened)) return paid();
    } while (Clock::now() < end);
    time_.store(time / 2 >= kLeast ? time / 2 : 0, std::memory_order_relaxed);
    rests_.store(kRests, std::memory_order_relaxed);
    return happened();
  }

 private:
  // Microseconds.
  static constexpr std::uint32_t kMost = 64;
  static constexpr std::uint32_t kLeast = 4;
  static constexpr std::uint32_t kProbe = 160;  // both sides have to wake up first
  static constexpr std::uint32_t kRests = 64;   // waits between two probes
  static constexpr int kLooksAtFirst = 8;
  static constexpr int kLooksPerClock = 4;
  // Each look takes the cache line from who is about to change it: the two would go on in lockstep, one line each way for each change.
  static constexpr int kPausesPerLook = 8;

  template <class Happened>
  static bool looks(int count, Happened& happened) {
    for (int i = 0; i < count; ++i) {
      if (happened()) return true;
      for (int pauses = 0; pauses < kPausesPerLook; ++pauses) pause();
    }
    return false;
  }
  bool paid() {
    if (time_.load(std::memory_order_relaxed) != kMost) time_.store(kMost, std::memory_order_relaxed);
    return true;
  }

  std::atomic<std::uint32_t> time_{kMost};
  std::atomic<std::uint32_t> rests_{0};
};

}  // namespace troupe::shared
