#pragma once

#include <sys/types.h>

#include <vector>

#include "os/descriptor.h"

namespace troupe::os {

// Threads of this process.
int thread_count();

// Children of `pid`, of all its threads, zombies included. Empty when there is no such process.
std::vector<pid_t> children_of(pid_t pid);

// `pid`'s children, their children, and so on, as far as they are still related by the time we look.
std::vector<pid_t> descendants_of(pid_t pid);

// Descriptors that this process has open, sorted.
std::vector<int> open_descriptors();

// Children of this thread, again and again, at the price of one read each time.
//
// Threads: those of the thread that made it.
class ChildrenList {
 public:
  ChildrenList();
  // Zombies included.
  std::vector<pid_t> read();

 private:
  Descriptor file_;
};

}  // namespace troupe::os
