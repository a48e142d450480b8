#include "queue/waiting.h"

#include "shared/spin.h"

namespace troupe::queue {
namespace {

constexpr int kSpinsMore = 2;  // than for a lock
constexpr int kSpinsPerLook = 8;

// True if it changed at all; returns as soon as it did by `enough`. Does not look all the time: each look takes the cache line from
// who is about to change it, so that the two would go on in lockstep, one line each way for each item.
bool changes_soon(const Word& watched, std::uint64_t enough) {
  const std::uint64_t before = watched.load(std::memory_order_relaxed);
  for (int spins = kSpinsMore * shared::spins_allowed(); spins > 0; spins -= kSpinsPerLook) {
    if (watched.load(std::memory_order_relaxed) - before >= enough) return true;
    for (int i = 0; i < kSpinsPerLook; ++i) shared::pause();
  }
  return watched.load(std::memory_order_relaxed) != before;
}

}  // namespace

void signal_slowly(Wait& area) {
  if (area.want.exchange(0, std::memory_order_seq_cst) == 0) return;
  area.epoch.fetch_add(1, std::memory_order_seq_cst);
  os::futex_wake(area.epoch, 1);
}

void signal_all_slowly(Wait& area) {
  if (area.want.exchange(0, std::memory_order_seq_cst) != 0) wake_all(area);
}

bool Waiter::again(const Word& watched, std::uint64_t enough) {
  if (deadline_ == kNow) return false;
  if (!armed_) {
    if (changes_soon(watched, enough)) return true;
    epoch_ = area_.epoch.load(std::memory_order_seq_cst);
    declare(memory_, area_);
    armed_ = true;
    return true;
  }
  armed_ = false;
  slept_ = true;
  return os::futex_wait(area_.epoch, epoch_, deadline_);
}

void Waiter::pass_on() {
  declare(memory_, area_);
  if (more_(memory_)) signal(area_);
}

}  // namespace troupe::queue
