#include "queue/waiting.h"

namespace troupe::queue {

void signal_slowly(Wait& area) {
  if (area.want.exchange(0, std::memory_order_seq_cst) == 0) return;
  area.epoch.fetch_add(1, std::memory_order_seq_cst);
  os::futex_wake(area.epoch, 1);
}

void signal_all_slowly(Wait& area) {
  if (area.want.exchange(0, std::memory_order_seq_cst) != 0) wake_all(area);
}

bool Waiter::again() {
  if (deadline_ == kNow) return false;
  if (!armed_) {
    epoch_ = area_.epoch.load(std::memory_order_seq_cst);
    declare(memory_, area_);
    armed_ = true;
    return true;
  }
  armed_ = false;
  slept_ = true;
  looks_ = 0;
  return os::futex_wait(area_.epoch, epoch_, deadline_);
}

void Waiter::pass_on() {
  declare(memory_, area_);
  if (more_(memory_)) signal(area_);
}

}  // namespace troupe::queue
