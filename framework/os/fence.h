#pragma once

#include <atomic>

namespace troupe::os {

// Fences between those who do something often and those who look at it seldom. Where both would need a full fence, the first take a
// light one, which costs nothing, and the second a heavy one, which costs for all of them: some hundred nanoseconds, or some
// microseconds where it has to interrupt another CPU.
//
//     // often                            // seldom
//     items = 1;                          asleep = 1;
//     light_fence();                      heavy_fence();
//     if (asleep) wake();                 if (!items) sleep();     // one of them sees what the other did
//
// Counts between processes, too, once each of those that take light fences has joined.
//
// Threads: any.
inline void light_fence() { std::atomic_signal_fence(std::memory_order_seq_cst); }

// Throws SystemError where the kernel does not let us.
void heavy_fence();

// This process and those that it forks from now on may take light fences. False where the kernel has none (before Linux 4.16) or a
// sandbox forbids it. The first call takes microseconds, or milliseconds when there are threads already.
[[nodiscard]] bool join_heavy_fences();

}  // namespace troupe::os
