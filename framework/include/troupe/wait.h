#pragma once

#include <initializer_list>
#include <memory>
#include <span>
#include <vector>

#include <troupe/duration.h>
#include <troupe/pipe.h>
#include <troupe/queue.h>

namespace troupe {

// What wait() can wait for: a Connection from which something can be received (or its end of file), a queue from which something can be
// got (or its end), or a descriptor that is readable, like Process::sentinel(). Made where it is needed, from any of these.
//
// Threads: a value.
class Waitable {
 public:
  Waitable(const Connection& connection);  // NOLINT: it stands for what it is made of
  template <class T, detail::QueueOrder order, class Priority>
  Waitable(const detail::BasicQueue<T, order, Priority>& queue) : queue_(queue.part()) {}  // NOLINT
  template <class T>
  Waitable(const SimpleQueue<T>& queue) : Waitable(queue.queue_) {}  // NOLINT
  Waitable(int descriptor) : descriptor_(descriptor) {}              // NOLINT

  // Of the same thing.
  bool operator==(const Waitable&) const = default;

 private:
  friend std::vector<Waitable> wait(std::span<const Waitable>, Duration);
  friend class Waiting;
  std::shared_ptr<detail::PipePart> pipe_;
  std::shared_ptr<detail::QueuePart> queue_;
  int descriptor_ = -1;
};

// Waits until at least one of them is ready, as Python's multiprocessing.connection.wait: those that are; none when the time is over.
//
//     for (const auto& ready : troupe::wait({numbers, pipe, child.sentinel()})) {
//       if (ready == pipe) std::cout << pipe.recv<std::string>() << '\n';
//       if (ready == child.sentinel()) …
//     }
//
// To be ready is a moment's state: where others take from the same queue or hold the same end, use try_get() and try_recv().
//
// It sleeps in the kernel until one of them wakes it, and costs nothing meanwhile. Only where there are descriptors besides others to
// wait for, a thread is started for each wait that finds nothing ready (tens of microseconds), since no call waits for both.
//
// Throws std::invalid_argument for more than 127 connections and queues; SystemError for a bad descriptor, when there is no thread to be
// had, and before Linux 5.16; ProtocolError when a process has overwritten the memory of one; std::logic_error for a closed Connection.
//
// Threads: any.
std::vector<Waitable> wait(std::span<const Waitable> things, Duration timeout = kForever);
inline std::vector<Waitable> wait(std::initializer_list<Waitable> things, Duration timeout = kForever) {
  return wait(std::span(things.begin(), things.size()), timeout);
}

}  // namespace troupe
