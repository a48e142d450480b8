#pragma once

#include <cstdint>

namespace troupe::queue {

// Between two looks at a word that another CPU is about to change.
inline void pause_cpu() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace troupe::queue
