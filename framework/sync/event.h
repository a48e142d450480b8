#pragma once

#include <span>

#include <troupe/duration.h>

#include "sync/layout.h"

namespace troupe::sync {

using shared::Slot;

// threading.Event: a flag that many wait for. Whoever waits when set() is called is released, even if clear() follows at once.
//
// One word:
//
//      31 … 2                    1         0
//     | how often it was set | waiters | flag |
//
// so that each change is one store, and no death can leave it half done. What the dead may owe is a wake-up: root's recover() gives it.
//
// Threads: any. A value: copies are the same event.
class Event {
 public:
  static std::size_t memory_size(std::uint32_t users) { return sync::memory_size({Kind::event, users}); }
  static void format(std::span<std::byte> memory, std::uint32_t users) { sync::format(memory, {Kind::event, users}); }
  Event(std::span<std::byte> memory, Slot me);

  [[nodiscard]] bool is_set() const { return (word_->load(std::memory_order_acquire) & kFlag) != 0; }
  void set();
  void clear() { word_->fetch_and(~kFlag, std::memory_order_relaxed); }
  // True when it is or was set; false once `timeout` has passed.
  bool wait(Duration timeout = kForever);

  // By root, once `dead` is.
  void recover(Slot dead);

 private:
  static constexpr std::uint32_t kFlag = 1;
  static constexpr std::uint32_t kSleepers = 2;
  static constexpr std::uint32_t kOneSet = 4;

  Word* word_;
};

}  // namespace troupe::sync
