#include "support/stepper.h"

#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>
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

// Who does not wait in a system call does not sleep for so long, even on a busy machine: then it is ready to run.
constexpr timespec kBlockedAfter{.tv_sec = 0, .tv_nsec = 2'000'000};

constexpr std::size_t kNear = 64;  // so many instructions before a point it is worthwhile to look for a place that is seldom passed

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

Stepper::Stop Stepper::step() {
  if (path_ && !blocked_) path_->at.push_back(instruction_pointer());
  const Stop stop = resume(PTRACE_SINGLESTEP);
  if (stop == Stop::instruction) ++steps_;
  if (path_ && stop == Stop::blocked && !path_->sleeps_at) path_->sleeps_at = steps_;
  return stop;
}

Stepper::Stop Stepper::to(const Path& path, std::size_t steps) {
  while (steps_ < steps) {
    if (!leap_ && !blocked_) leap_ = plan(path, steps);
    const Stop stop = leap_ ? follow(*leap_) : step();
    if (stop != Stop::blocked) leap_.reset();
    if (stop != Stop::instruction) return stop;
  }
  return Stop::instruction;
}

// The cheapest way: to an instruction close before the point that is not passed often until then. Each time costs two stops, each step
// one. Nothing, if to step all the way is no dearer.
std::optional<Stepper::Leap> Stepper::plan(const Path& path, std::size_t steps) const {
  std::optional<Leap> best;
#if defined(__x86_64__)
  std::size_t best_cost = steps - steps_;
  for (std::size_t near = 0; near < kNear && near < best_cost && steps - near > steps_; ++near) {
    const std::size_t there = steps - near;
    if (there >= path.at.size()) continue;
    const auto from = path.at.begin() + static_cast<std::ptrdiff_t>(steps_ + 1);
    const auto hits = static_cast<std::size_t>(std::count(from, path.at.begin() + static_cast<std::ptrdiff_t>(there + 1), path.at[there]));
    if (near + 2 * hits >= best_cost) continue;
    best_cost = near + 2 * hits;
    best = Leap{.address = path.at[there], .hits = hits, .steps = there};
  }
#endif
  return best;
}

// A step off the place where it stands, lest it meet the breakpoint there; where that leads to the place again, it is met so, too.
Stepper::Stop Stepper::follow(Leap& leap) {
  while (leap.hits > 0) {
    if (!leap.covered) {
      if (const Stop stop = resume(PTRACE_SINGLESTEP); stop != Stop::instruction) return stop;
      if (instruction_pointer() == leap.address) {
        --leap.hits;
        continue;
      }
      set_breakpoint(leap);
    }
    const Stop stop = resume(PTRACE_CONT);
    if (stop != Stop::mark || !clear_breakpoint(leap)) return stop;
    --leap.hits;
  }
  steps_ = leap.steps;
  return Stop::instruction;
}

#if defined(__x86_64__)
void Stepper::set_breakpoint(Leap& leap) {
  constexpr long kBreakpoint = 0xCC, kByte = 0xFF;
  errno = 0;
  const long word = ::ptrace(PTRACE_PEEKTEXT, pid_, leap.address, nullptr);
  if (errno != 0) throw std::runtime_error("cannot read the victim's instructions");
  os::check_call(::ptrace(PTRACE_POKETEXT, pid_, leap.address, (word & ~kByte) | kBreakpoint), "ptrace(POKETEXT)");
  leap.covered = word;
}

// False if it stands at another one: its own mark.
bool Stepper::clear_breakpoint(Leap& leap) {
  if (instruction_pointer() != leap.address + 1) return false;
  os::check_call(::ptrace(PTRACE_POKETEXT, pid_, leap.address, *leap.covered), "ptrace(POKETEXT)");
  os::check_call(::ptrace(PTRACE_POKEUSER, pid_, offsetof(user_regs_struct, rip), leap.address), "ptrace(POKEUSER)");
  leap.covered.reset();
  return true;
}
#else
void Stepper::set_breakpoint(Leap&) {}
bool Stepper::clear_breakpoint(Leap&) { return false; }
#endif

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
  if (pid_ > 0) return static_cast<std::uintptr_t>(::ptrace(PTRACE_PEEKUSER, pid_, offsetof(user_regs_struct, rip), nullptr));
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
  Path path;
  {
    prepare();
    Stepper first(victim);
    first.record(path);
    while (first.step() == Stepper::Stop::instruction) {
    }
    first.kill();
    sweep.count(check());
  }
  for (std::size_t at = 0; at < path.steps(); at += stride) {
    prepare();
    auto stepper = std::make_unique<Stepper>(victim);
    if (stepper->to(path, at) != Stepper::Stop::instruction) {  // it took another way this time
      stepper.reset();
      prepare();
      stepper = std::make_unique<Stepper>(victim);
      std::size_t steps = 0;
      while (steps < at && stepper->step() == Stepper::Stop::instruction) ++steps;
      if (steps < at) ++sweep.missed;
    }
    stepper->kill();
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
    if (seen.size() == memory.size() && std::memcmp(seen.data(), memory.data(), seen.size()) == 0) continue;
    seen.assign(memory.begin(), memory.end());
    std::ranges::copy(seen, copy.bytes().begin());
    sweep.count(check(copy.bytes()));
  } while (stepper.step() == Stepper::Stop::instruction);
  return sweep;
}

}  // namespace troupe::test
