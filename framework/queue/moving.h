#pragma once

#include <troupe/errors.h>

#include "queue/shared_queue.h"

// What putting, getting and ending have in common.
namespace troupe::queue {

// Who does not wait for room or items still waits for whoever is moving one.
inline Clock::time_point lock_deadline(Clock::time_point deadline) { return deadline == kNow ? Clock::time_point::max() : deadline; }

inline bool may_have_room(const QueueMemory& memory) {
  return memory.is_ordered() ? OrderedItems::may_have_room(memory) : LogWriter::may_have_room(memory);
}
inline bool may_have_items(const QueueMemory& memory) {
  if (!memory.is_ordered()) return LogReader::may_have_items(memory);
  return OrderedItems::waiting(memory) != 0 || OrderedItems::is_stale(memory);
}
inline bool nobody_else(const QueueMemory&) { return false; }

// Once the shared memory was found broken, nothing in it is to be believed.
template <class Work>
[[gnu::always_inline]] inline auto SharedQueue::guarded(const Work& work) {
  if (poisoned_.load(std::memory_order_relaxed)) [[unlikely]] throw ProtocolError("this queue's shared memory was overwritten");
  try {
    return work();
  } catch (const ProtocolError&) {
    found_broken();
    throw;
  }
}

inline void SharedQueue::after_taking() {
  signal(control().room.room, producers_);
  if (control().room.idle.want.load(std::memory_order_seq_cst) != 0) [[unlikely]] tell_idle();
}

}  // namespace troupe::queue
