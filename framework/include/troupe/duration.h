#pragma once

#include <chrono>

namespace troupe {

// Time is monotonic everywhere; a time-out of kForever never passes.
using Clock = std::chrono::steady_clock;
using Duration = std::chrono::nanoseconds;
inline constexpr Duration kForever = Duration::max();

// The moment `timeout` from now, without overflow: kForever gives Clock::time_point::max().
inline Clock::time_point deadline_after(Duration timeout) {
  const auto now = Clock::now();
  return timeout > Clock::time_point::max() - now ? Clock::time_point::max() : now + timeout;
}

}  // namespace troupe
