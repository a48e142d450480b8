#include "shared/spin.h"

#include <sched.h>

#include <atomic>

namespace troupe::shared {
namespace {

constexpr int kSpins = 200;
constexpr unsigned kLooksPerAffinity = 64;

int allowed_now() {
  cpu_set_t cpus;
  return ::sched_getaffinity(0, sizeof cpus, &cpus) == 0 && CPU_COUNT(&cpus) > 1 ? kSpins : 0;
}

}  // namespace

// Asking the kernel costs about as much as the spinning, and the answer seldom changes.
int spins_allowed() {
  static std::atomic<unsigned> looks{0};
  static std::atomic<int> spins{0};
  if (looks.fetch_add(1, std::memory_order_relaxed) % kLooksPerAffinity == 0)
    spins.store(allowed_now(), std::memory_order_relaxed);
  return spins.load(std::memory_order_relaxed);
}

}  // namespace troupe::shared
