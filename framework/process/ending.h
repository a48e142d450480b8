#pragma once

#include <sys/types.h>

#include <vector>

namespace troupe::process {

// How a process, or the whole command, ends: with an exit code, or by a signal.
struct Ending {
  int code = 0;
  int signal = 0;
};

// Ends this process so that whoever waits for it sees that ending. Dumps no core: that is for the process where it happened.
[[noreturn]] void end_as(const Ending& ending);

// Kills all children but the spared, and theirs as they become ours (which they do if we are a subreaper), until none is left that
// we may kill.
void end_all_children(std::vector<pid_t> spared = {});

}  // namespace troupe::process
