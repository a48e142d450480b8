#include "support/traced.h"

#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include <csignal>

#include "os/check_call.h"

namespace troupe::test {

namespace {

bool is_mark(pid_t pid, int status) {
  siginfo_t info{};
  return WSTOPSIG(status) == SIGTRAP && status >> 16 == 0 && ::ptrace(PTRACE_GETSIGINFO, pid, nullptr, &info) == 0 &&
         info.si_code == SI_KERNEL;
}

int wait_for(pid_t pid) {
  int status = 0;
  os::check_call(os::retry_interrupted([&] { return ::waitpid(pid, &status, __WALL); }), "waitpid");
  return status;
}

}  // namespace

Traced::Traced(pid_t pid) : pid_(pid) {
  os::check_call(::ptrace(PTRACE_SEIZE, pid, nullptr, PTRACE_O_TRACESYSGOOD), "ptrace(SEIZE)");
  os::check_call(::ptrace(PTRACE_INTERRUPT, pid, nullptr, nullptr), "ptrace(INTERRUPT)");
  if (!WIFSTOPPED(wait_for(pid))) pid_ = -1;
}

// It stands still.
Traced::Stop Traced::resume(int request) {
  if (pid_ < 0) return Stop::ended;
  for (int signal = 0;;) {
    if (::ptrace(static_cast<__ptrace_request>(request), pid_, nullptr, signal) < 0 && errno != ESRCH) throw SystemError(errno, "ptrace");
    const int status = wait_for(pid_);
    if (!WIFSTOPPED(status)) {
      pid_ = -1;
      return Stop::ended;
    }
    if (WSTOPSIG(status) == (SIGTRAP | 0x80)) return Stop::system_call;
    if (is_mark(pid_, status)) return Stop::mark;
    signal = status >> 16 == 0 ? WSTOPSIG(status) : 0;  // one for itself
  }
}

bool Traced::to_mark() { return resume(PTRACE_CONT) == Stop::mark; }

std::size_t Traced::steps(std::size_t count) {
  std::size_t done = 0;
  while (done < count && resume(PTRACE_SYSCALL) == Stop::system_call) ++done;
  return done;
}

void Traced::kill() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  while (WIFSTOPPED(wait_for(pid_))) {
  }
  pid_ = -1;
}

bool may_trace(pid_t pid) {
  if (::ptrace(PTRACE_SEIZE, pid, nullptr, nullptr) < 0) return false;
  os::check_call(::ptrace(PTRACE_INTERRUPT, pid, nullptr, nullptr), "ptrace(INTERRUPT)");
  if (WIFSTOPPED(wait_for(pid))) ::ptrace(PTRACE_DETACH, pid, nullptr, nullptr);
  return true;
}

void be_traceable() { ::prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY); }

}  // namespace troupe::test
