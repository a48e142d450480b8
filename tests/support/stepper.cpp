#include "support/stepper.h"

#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <stdexcept>
#include <vector>

#include "os/affinity.h"
#include "os/check_call.h"
#include "os/memory.h"
#include "os/signals.h"

namespace troupe::test {
namespace {

// A breakpoint costs one instruction; raise() would add a hundred that nobody wants to sweep. Both stop a traced process, and
// the signal is never delivered.
bool at_mark(pid_t pid, int status) {
#if defined(__x86_64__)
  siginfo_t info{};
  return WSTOPSIG(status) == SIGTRAP && ::ptrace(PTRACE_GETSIGINFO, pid, nullptr, &info) == 0 && info.si_code == SI_KERNEL;
#else
  (void)pid;
  return WSTOPSIG(status) == SIGSTOP;
#endif
}

// Longer than any system call that does not wait takes to come back, even on a busy machine.
constexpr timespec kBlockedAfter{.tv_sec = 0, .tv_nsec = 20'000'000};

bool sleeps(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  std::getline(file, text);
  const auto name_end = text.rfind(')');
  return name_end != std::string::npos && name_end + 2 < text.size() && text[name_end + 2] == 'S';
}

}  // namespace

void mark() {
#if defined(__x86_64__)
  asm volatile("int3");
#else
  ::raise(SIGSTOP);
#endif
}

Stepper::Stepper(const std::function<void()>& victim) : cpus_(os::allowed_cpus()) {
  os::set_allowed_cpus({os::current_cpu()});  // to and fro on one CPU is several times as fast
  pid_ = os::check_call(::fork(), "fork");
  if (pid_ == 0) {
    ::alarm(60);
    if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) < 0) ::_exit(98);
    try {
      victim();
    } catch (const std::exception& error) {
      std::fprintf(stderr, "victim: %s\n", error.what());
      ::_exit(99);
    }
    ::_exit(0);
  }
  signals_ = os::block_signals(os::signal_set({SIGCHLD}));  // resume() waits for it
  int status = 0;
  os::check_call(os::retry_interrupted([&] { return ::waitpid(pid_, &status, 0); }), "waitpid");
  if (!WIFSTOPPED(status) || !at_mark(pid_, status)) {
    if (!WIFSTOPPED(status)) reaped();
    kill();
    os::set_blocked_signals(signals_);
    os::set_allowed_cpus(cpus_);
    throw std::runtime_error("the victim did not come to its first mark");
  }
  os::check_call(::ptrace(PTRACE_SETOPTIONS, pid_, nullptr, PTRACE_O_EXITKILL), "ptrace(SETOPTIONS)");
}

Stepper::~Stepper() {
  kill();
  os::set_blocked_signals(signals_);
  os::set_allowed_cpus(cpus_);
}

Stepper::Stop Stepper::step() { return resume(PTRACE_SINGLESTEP); }
Stepper::Stop Stepper::run() { return resume(PTRACE_CONT); }

Stepper::Stop Stepper::resume(int request) {
  if (pid_ < 0) return Stop::ended;
  if (!blocked_) os::check_call(::ptrace(static_cast<__ptrace_request>(request), pid_, nullptr, nullptr), "ptrace");
  int status = 0;
  while (os::check_call(::waitpid(pid_, &status, WNOHANG), "waitpid") == 0) {
    const auto child_signal = os::signal_set({SIGCHLD});
    blocked_ = ::sigtimedwait(&child_signal, nullptr, &kBlockedAfter) < 0 && errno == EAGAIN && sleeps(pid_);
    if (blocked_) return Stop::blocked;
  }
  blocked_ = false;
  if (!WIFSTOPPED(status)) {
    reaped();
    return Stop::ended;
  }
  return at_mark(pid_, status) ? Stop::mark : Stop::instruction;
}

void Stepper::kill() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  int status = 0;
  do {
    if (os::retry_interrupted([&] { return ::waitpid(pid_, &status, 0); }) < 0) break;
  } while (WIFSTOPPED(status));
  reaped();
}

std::uintptr_t Stepper::instruction_pointer() const {
#if defined(__x86_64__)
  user_regs_struct registers{};
  if (pid_ > 0 && ::ptrace(PTRACE_GETREGS, pid_, nullptr, &registers) == 0) return registers.rip;
#endif
  return 0;
}

void Sweep::count(const std::string& wrong) {
  ++points;
  if (wrong.empty()) return;
  if (failures++ == 0) first_failure = "point " + std::to_string(points) + ": " + wrong;
}

Sweep kill_at_every_instruction(const std::function<void()>& prepare, const std::function<void()>& victim,
                                const std::function<std::string()>& check, std::size_t stride) {
  Sweep sweep;
  bool more = true;
  for (std::size_t steps = 0; more; steps += stride) {
    prepare();
    Stepper stepper(victim);
    for (std::size_t i = 0; i < steps && more; ++i) more = stepper.step() == Stepper::Stop::instruction;
    stepper.kill();
    sweep.count(check());
  }
  return sweep;
}

Sweep look_at_every_change(std::span<const std::byte> memory, const std::function<void()>& victim,
                           const std::function<std::string(std::span<std::byte> copy)>& check) {
  Sweep sweep;
  Stepper stepper(victim);
  std::vector<std::byte> seen;
  const auto copy = os::Mapping::anonymous(memory.size());  // aligned as the original is
  do {
    if (std::ranges::equal(seen, memory)) continue;
    seen.assign(memory.begin(), memory.end());
    std::ranges::copy(seen, copy.bytes().begin());
    sweep.count(check(copy.bytes()));
  } while (stepper.step() == Stepper::Stop::instruction);
  return sweep;
}

}  // namespace troupe::test
