#include "process/ending.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstddef>

#include "os/proc.h"
#include "os/signals.h"

namespace troupe::process {

void end_as(const Ending& ending) {
  if (ending.signal == 0) ::_exit(ending.code);
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
  if (ending.signal != SIGKILL) os::set_default_action(ending.signal);
  os::set_blocked_signals(os::signal_set({}));
  ::kill(::getpid(), ending.signal);
  ::_exit(128 + ending.signal);  // a signal that does not kill
}

void end_all_children(std::vector<pid_t> spared) {
  while (true) {
    std::size_t killed = 0;
    for (pid_t child : os::children_of(::getpid())) {
      if (std::ranges::find(spared, child) == spared.end()) killed += ::kill(child, SIGKILL) == 0;
    }
    if (killed == 0) return;
    // All that were killed will end; those that become ours meanwhile are for the next round. One look a round, not one a death.
    while (killed > 0) {
      siginfo_t info;
      if (::waitid(P_ALL, 0, &info, WEXITED) != 0) {
        if (errno == ECHILD) return;
      } else if (std::erase(spared, info.si_pid) == 0) {
        --killed;
      }
    }
  }
}

}  // namespace troupe::process
