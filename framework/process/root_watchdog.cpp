// How root finds out that a process hangs: see decisions/0016-watchdog.md.

#include <sys/wait.h>

#include <fmt/format.h>

#include <csignal>
#include <fstream>
#include <string>
#include <utility>

#include "process/root_loop.h"

namespace troupe::process {

namespace {

// Held by a debugger: whatever it does not do is not its own fault.
bool traced(pid_t pid) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("TracerPid:")) return std::stol(line.substr(sizeof "TracerPid:" - 1)) != 0;
  return false;
}

bool is_stopped(pid_t pid) {
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  std::getline(stat, line);
  const auto name_end = line.rfind(')');
  return name_end + 2 < line.size() && line[name_end + 2] == 'T';
}

std::string in_words(Duration period) { return fmt::format("{}ms", period / std::chrono::milliseconds(1)); }

}  // namespace

// A quarter of the period of a watched process has passed while it was at work. A debugger may hold it for less than a period, and have
// gone before that is over: so it is looked for each time that nothing was heard.
void RootLoop::feel(Process& process) {
  if (!process.heart->silent()) return;
  const bool is_held = traced(process.pid), was_held = std::exchange(process.held, is_held);
  if (is_held || was_held) return process.heart->look_again();  // it may just have been let go
  if (process.heart->stopped_beating()) hang(process, "no sign of life for " + in_words(process.heart->period()));
}

void RootLoop::hang(Process& process, const std::string& why) {
  kill(process.id, {Death::Cause::hung, -SIGKILL, why});  // asks it where it is, first
}

// Children that were stopped (SIGSTOP, Ctrl-Z) or continued since we looked last. What is stopped while it sleeps has no timer of its own.
void RootLoop::note_stops() {
  siginfo_t info{};
  while (::waitid(P_ALL, 0, &info, WSTOPPED | WCONTINUED | WNOHANG) == 0 && info.si_pid != 0) {
    Process* process = roster_.by_pid(info.si_pid);
    if (!process || !process->heart) continue;
    timers_.cancel(std::exchange(process->stop_watch, 0));
    if (info.si_code != CLD_CONTINUED) watch_stopped(*process);
  }
}

void RootLoop::watch_stopped(Process& process) {
  const auto due = Clock::now() + process.heart->period();
  process.stop_watch = timers_.at(due, [this, id = process.id, due] {
    Process* stopped = roster_.by_id(id);
    if (!stopped) return;
    stopped->stop_watch = 0;
    note_stops();  // it may go on already, and so may we only now
    if (!roster_.by_id(id) || stopped->stop_watch != 0 || !is_stopped(stopped->pid)) return;
    const bool is_held = traced(stopped->pid), was_held = std::exchange(stopped->held, is_held);
    if (Heart::too_late(due, stopped->heart->period()) || is_held || was_held) return watch_stopped(*stopped);
    hang(*stopped, "stopped for " + in_words(stopped->heart->period()));
    kill(*stopped);  // it cannot say where it is
  });
}

}  // namespace troupe::process
