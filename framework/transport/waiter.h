#pragma once

#include <troupe/duration.h>

#include "os/epoll.h"
#include "transport/transport.h"

namespace troupe::transport {

// Sleeps until a link has something to do, for those who have no event loop of their own.
//
//     while (!(frame = link.peek()) && !link.closed()) waiter.wait();
//
// Threads: those of its link.
class Waiter {
 public:
  // `link` must outlive it.
  explicit Waiter(Transport& link);

  // False if nothing happened until `deadline`. That something happened need not mean that there is a frame.
  bool wait(Clock::time_point deadline = Clock::time_point::max());

 private:
  Transport& link_;
  os::Epoll epoll_;
};

}  // namespace troupe::transport
