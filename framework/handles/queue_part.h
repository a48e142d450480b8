#pragma once

#include <deque>
#include <mutex>
#include <optional>

#include <troupe/queue_core.h>

#include "program/shared_thing.h"
#include "queue/shared_queue.h"

namespace troupe::detail {

// A queue as one process uses it.
//
// Threads: any.
class QueuePart : public program::SharedThing {
 public:
  QueuePart(process::ThingId id, process::ThingAccess access)
      : SharedThing(id, std::move(access)), queue(std::make_shared<const queue::QueueMemory>(memory().duplicate()), slot(), [this] { tell_broken(); }) {}

  queue::SharedQueue queue;

  // What was got and is not done, of a JoinableQueue.
  void note_task(const QueueLease& lease) {
    const std::scoped_lock lock(mutex_);
    tasks_.push_back(lease);
  }
  std::optional<QueueLease> oldest_task() {
    const std::scoped_lock lock(mutex_);
    if (tasks_.empty()) return {};
    const QueueLease lease = tasks_.front();
    tasks_.pop_front();
    return lease;
  }

 private:
  std::mutex mutex_;
  std::deque<QueueLease> tasks_;
};

}  // namespace troupe::detail
