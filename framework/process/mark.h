#pragma once

#include <sys/types.h>

#include <optional>

#include "process/id.h"

namespace troupe::process {

// A mark that a process hands down to all that it forks or executes, whatever they do to their sessions, descriptors and
// environment: so root can tell whose an orphan is. It is the soft limit on file locks, which Linux has not looked at since 2.4.
//
//     mark_process(root, serial);                       // in a process of the tree
//     if (mark_of(orphan, ::getpid()) == serial) …      // in root
void mark_process(pid_t root, Serial serial);

// Whose mark `pid` carries; nothing if it has none, or that of another tree, or may not be looked at.
std::optional<Serial> mark_of(pid_t pid, pid_t root);

}  // namespace troupe::process
