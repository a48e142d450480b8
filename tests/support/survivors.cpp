#include "support/survivors.h"

#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <fstream>

#include "os/check_call.h"

namespace troupe::test {
namespace {

// "S" where it sleeps, and its context switches.
std::string state_of(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/status");
  std::string text;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("State:") || line.find("ctxt_switches") != std::string::npos) text += line;
  }
  return text;
}

bool sleeps(const std::string& state) { return state.find("(sleeping)") != std::string::npos; }

}  // namespace

Survivors::~Survivors() {
  for (const Process& process : processes_) {
    if (process.ended) continue;
    ::kill(process.pid, SIGKILL);
    os::retry_interrupted([&] { return ::waitpid(process.pid, nullptr, 0); });
  }
}

std::size_t Survivors::add(const std::function<int()>& body) {
  const pid_t pid = os::check_call(::fork(), "fork");
  if (pid != 0) {
    processes_.push_back({pid});
    return processes_.size() - 1;
  }
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  int code = 99;
  try {
    code = body();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "survivor: %s\n", error.what());
  }
  ::_exit(code);
}

void Survivors::kill(std::size_t number) {
  Process& process = processes_.at(number);
  if (process.ended) return;
  ::kill(process.pid, SIGKILL);
  os::retry_interrupted([&] { return ::waitpid(process.pid, nullptr, 0); });
  process.ended = true;
}

bool Survivors::quiet() {
  bool all = true;
  for (Process& process : processes_) all = look(process) && all;
  return all;
}

std::size_t Survivors::settle() {
  while (!quiet()) ::sched_yield();
  return static_cast<std::size_t>(std::ranges::count(processes_, true, &Process::ended));
}

// True if it has ended, or slept before and has not run since.
bool Survivors::look(Process& process) const {
  if (process.ended) return true;
  if (os::retry_interrupted([&] { return ::waitpid(process.pid, &process.status, WNOHANG); }) == process.pid) {
    process.ended = true;
    return false;  // the others may have been woken by its last deed
  }
  std::string state = state_of(process.pid);
  const bool quiet = sleeps(state) && state == process.state;
  process.state = std::move(state);
  return quiet;
}

std::string Survivors::fault(bool all_ended) const {
  for (std::size_t i = 0; i < processes_.size(); ++i) {
    const Process& process = processes_[i];
    const std::string name = "survivor " + std::to_string(i);
    if (!process.ended && all_ended) return name + " sleeps for ever";
    if (process.ended && process.status != 0) return name + " ended with status " + std::to_string(process.status);
  }
  return "";
}

}  // namespace troupe::test
