#pragma once

#include <poll.h>
#include <sys/epoll.h>

#include <chrono>
#include <cstdint>
#include <span>

#include <troupe/duration.h>

#include "os/descriptor.h"

namespace troupe::os {

// The kernel's list of descriptors that a loop waits for; `key` tells them apart. Closing a descriptor takes it from the list,
// unless it was duplicated or inherited elsewhere: then remove() it first.
//
// Threads: any, as the kernel allows.
class Epoll {
 public:
  Epoll();

  void add(int fd, std::uint32_t events, std::uint64_t key);
  void change(int fd, std::uint32_t events, std::uint64_t key);
  void remove(int fd);
  // Waits until `deadline`, to the nanosecond if the kernel can; interrupted by a signal it returns nothing.
  std::span<epoll_event> wait(std::span<epoll_event> room, Clock::time_point deadline) const;

  // Readable when one of the list is.
  [[nodiscard]] int descriptor() const { return epoll_.get(); }

 private:
  Descriptor epoll_;
};

// Waits until one of `list` has an event that it asks for, told in `revents`, or `deadline` has passed; false then. Goes on after
// signals.
bool wait_for(std::span<pollfd> list, Clock::time_point deadline);

// Waits until `fd` has one of `events` (POLLIN, POLLOUT) or `deadline` has passed; false then.
bool wait_for(int fd, short events, Clock::time_point deadline);

}  // namespace troupe::os
