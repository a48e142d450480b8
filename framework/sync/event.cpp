#include "sync/event.h"

#include "os/futex.h"

namespace troupe::sync {

Event::Event(std::span<std::byte> memory, Slot me) {
  shape_of(memory, Kind::event, me);
  word_ = &Parts(memory).next<EventPart>()->word;
}

void Event::set() {
  std::uint32_t seen = value_of(*word_);
  while ((seen & kFlag) == 0) {
    const std::uint32_t next = ((seen & ~kSleepers) + kOneSet) | kFlag;
    if (!word_->compare_exchange_weak(seen, next, std::memory_order_acq_rel, std::memory_order_relaxed)) continue;
    if ((seen & kSleepers) != 0) os::futex_wake_all(*word_);
    return;
  }
  // Set already; what was written before this call must still be seen by whoever waits.
  word_->fetch_or(0, std::memory_order_acq_rel);
}

bool Event::wait(Duration timeout) {
  std::uint32_t seen = word_->load(std::memory_order_acquire);
  if ((seen & kFlag) != 0) return true;
  const std::uint32_t sets = seen / kOneSet;
  const auto deadline = deadline_after(timeout);
  bool in_time = true;
  while ((seen & kFlag) == 0 && seen / kOneSet == sets) {
    if (!in_time) return false;
    if ((seen & kSleepers) == 0) {
      if (!word_->compare_exchange_weak(seen, seen | kSleepers, std::memory_order_acquire)) continue;
      seen |= kSleepers;
    }
    in_time = os::futex_wait(*word_, seen, deadline);
    seen = word_->load(std::memory_order_acquire);
  }
  return true;
}

void Event::recover(Slot) { os::futex_wake_all(*word_); }

}  // namespace troupe::sync
