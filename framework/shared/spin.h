#pragma once

namespace troupe::shared {

// How often to look again before sleeping: a few hundred nanoseconds' worth, or 0 where this process has one CPU only and spinning
// would keep the one we wait for from running.
int spins_allowed();

// Between two looks.
inline void pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#else
  asm volatile("" ::: "memory");
#endif
}

}  // namespace troupe::shared
