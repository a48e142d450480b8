#include "os/pidfd.h"

#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "os/check_call.h"

namespace troupe::os {

Descriptor open_pidfd(pid_t pid) {
  return Descriptor(static_cast<int>(check_call(::syscall(SYS_pidfd_open, pid, 0), "pidfd_open")));
}

bool send_signal(const Descriptor& pidfd, int signal) {
  if (::syscall(SYS_pidfd_send_signal, pidfd.get(), signal, nullptr, 0) == 0) return true;
  if (errno == ESRCH) return false;
  throw SystemError(errno, "pidfd_send_signal");
}

std::optional<Exit> reap(pid_t pid) {
  siginfo_t info{};
  const int result = retry_interrupted([&] { return ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG); });
  if (result < 0 || info.si_pid == 0) return std::nullopt;
  return Exit{info.si_code != CLD_EXITED, info.si_status};
}

}  // namespace troupe::os
