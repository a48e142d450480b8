#pragma once

#include <sys/types.h>

#include <optional>

#include "os/descriptor.h"

namespace troupe::os {

// A descriptor for a process that becomes readable when it has ended; unlike a pid it never means another process later.
// Throws SystemError (ESRCH: there is none).
Descriptor open_pidfd(pid_t pid);

// False if the process has ended.
bool send_signal(const Descriptor& pidfd, int signal);

// How a child ended.
struct Exit {
  bool signalled = false;
  int code = 0;  // exit code, or the number of the signal
};

// Takes a child that has ended from the kernel's table; nothing while it lives, or if `pid` is no child of ours.
std::optional<Exit> reap(pid_t pid);

}  // namespace troupe::os
