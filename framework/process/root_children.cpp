// How root starts and stops processes, and who is told of their end.

#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <exception>
#include <utility>

#include "os/check_call.h"
#include "os/pidfd.h"
#include "os/socket.h"
#include "process/birth.h"
#include "process/crash.h"
#include "process/packet.h"
#include "process/root_loop.h"

namespace troupe::process {

namespace {

// From being asked where it is to being killed, and how often we look whether it has told.
constexpr Duration kTimeToTell = std::chrono::seconds(1);
constexpr Duration kTellPeriod = std::chrono::milliseconds(5);

std::string why_not_started(const std::exception& error) {
  const std::string why = error.what();
  const auto* system = dynamic_cast<const SystemError*>(&error);
  return system && system->code().value() == EMFILE ? why + " in root, which needs 3 to 6 for each process" : why;
}

}  // namespace

bool RootLoop::fork_main(std::unique_ptr<Client>& client) {
  auto [ours, theirs] = os::socket_pair(os::SocketKind::packets);
  auto process = std::make_unique<Process>();
  process->id = main_ = kMain;
  process->serial = roster_.new_serial();
  process->name = "MainProcess";
  process->stop_timeout = ChildSpec{}.stop_timeout;
  process->box = boxes_.take();
  started_ = 1;
  const pid_t root = ::getpid();
  process->pid = os::check_call(::fork(), "fork");
  if (process->pid == 0) {
    client = live_as_main(origin_, root, {.id = kMain, .serial = process->serial, .socket = std::move(theirs), .box = process->box});
    return true;
  }
  process->socket = std::move(ours);
  process->pidfd = os::open_pidfd(process->pid);
  watch(roster_.add(std::move(process)));
  return false;
}

ProcessId RootLoop::start(ChildSpec spec, ChildEvents& events) {
  const ProcessId id = make_id(kRootSerial, ++started_);
  if (state_ == State::running) grant(id, spec.things);
  launch(id, spec, {}, &events);
  return id;
}

void RootLoop::launch(ProcessId id, const ChildSpec& spec, os::Descriptor arguments, ChildEvents* events) {
  const auto failed = [&](const std::string& why) {
    Death death{Death::Cause::failed_to_start, 0, why};
    death.restarts = spec.restarts;
    report_soon(id, death, events);
  };
  if (state_ != State::running) return failed("the tree is ending");
  if (!events) spare_due_ = true;  // a program that starts one starts more; a topology does not
  const bool all_in_packet = !spec.program && !spec.keep_stderr && spec.watchdog == kForever && spec.limits.memory_max == 0 && !grants_.contains(id);
  auto process = new_process(all_in_packet);
  process->id = id;
  process->name = spec.name;
  process->events = events;
  process->stop_timeout = spec.stop_timeout;
  process->executed = spec.program;
  process->restarts = spec.restarts;
  try {
    give_things(*process);
    fork(*process, spec, std::move(arguments));
    watch(*process);
    limit_memory(*process, spec.limits);
  } catch (const std::exception& error) {  // no descriptors, no memory; a thing for it that was overwritten
    // Nothing knows of it yet, so it may be waited for: it cannot outlast SIGKILL.
    if (process->pid > 0 && ::kill(process->pid, SIGKILL) == 0) ::waitpid(process->pid, nullptr, 0);
    boxes_.give_back(process->box);
    take_things(*process, true);
    return failed(why_not_started(error));
  }
  Process& added = roster_.add(std::move(process));
  if (Process* starter = roster_.by_serial(starter_of(id))) starter->started.insert(id);
  if (spec.start_timeout == kForever) return;
  added.start_timer = timers_.at(deadline_after(spec.start_timeout), [this, id] {
    Process* late = roster_.by_id(id);
    if (!late) return;
    late->verdict = Death{Death::Cause::not_ready, 0, ""};
    kill(*late);
  });
}

void RootLoop::fork(Process& process, const ChildSpec& spec, os::Descriptor arguments) {
  if (process.pid != 0 && wake_spare(process, spec, arguments)) return;
  auto [ours, theirs] = os::socket_pair(os::SocketKind::packets);
  os::Descriptor error = spec.keep_stderr && sink_.usable() ? make_output(process) : os::Descriptor();
  process.group = memory_group(process, spec.limits);
  const auto entrance = process.group ? process.group->entrance() : os::Descriptor();
  if (spec.watchdog != kForever) process.heart = std::make_unique<Heart>(spec.watchdog);
  const pid_t root = ::getpid();
  process.pid = os::check_call(::fork(), "fork");
  if (process.pid == 0) {
    Heart::set_here(process.heart.get());
    Birth birth{process.id, process.serial, &spec, std::nullopt, std::move(theirs), std::move(arguments), std::move(error), process.box};
    if (const Process* starter = roster_.by_serial(starter_of(process.id))) birth.parent = {starter->name, starter->pid};
    birth.things = std::move(process.granted);
    birth.group = entrance.get();
    live(origin_, root, std::move(birth));
  }
  theirs.reset();  // makes room for the pidfd, so that this cannot fail for want of descriptors
  process.pidfd = os::open_pidfd(process.pid);
  process.socket = std::move(ours);
  if (process.heart) process.heart->keep_to_these();
}

void RootLoop::watch(Process& process) {
  epoll_.add(process.pidfd.get(), EPOLLIN, key(Source::pidfd, process.serial));
  process.interest = EPOLLIN;
  epoll_.add(process.socket.get(), process.interest, key(Source::socket, process.serial));
  if (process.output) epoll_.add(process.output.get(), EPOLLIN, key(Source::output, process.serial));
  if (!process.heart) return;
  epoll_.add(process.heart->descriptor(), EPOLLIN, key(Source::heart, process.serial));
  ++hearts_;
}

// Closing them is not enough: who is forked now holds them until it has closed what is not its own, and as long the loop would be
// told of them again and again.
void RootLoop::unwatch(Process& process) {
  epoll_.remove(process.pidfd.get());
  if (process.socket) disconnect(process);
  if (process.output) epoll_.remove(process.output.get());
  if (!process.heart) return;
  epoll_.remove(process.heart->descriptor());
  --hearts_;
}

void RootLoop::report(ProcessId id, pid_t pid, const Death& death, ChildEvents* events) {
  if (events) return events->ended(id, death);
  Process* starter = roster_.by_serial(starter_of(id));
  if (!starter) return;
  starter->started.erase(id);
  Outgoing<control::Notice> notice;
  auto ended = notice->initEnded();
  ended.setId(id);
  ended.setPid(pid);
  write(ended.initDeath(), death);
  tell(*starter, notice.bytes());
}

void RootLoop::report_soon(ProcessId id, const Death& death, ChildEvents* events) {
  Death record = death;
  record.time = std::chrono::system_clock::now();
  timers_.at(Clock::now(), [this, id, record, events] { report(id, 0, record, events); });
}

void RootLoop::stop(ProcessId child) {
  if (Process* process = roster_.by_id(child)) stop(*process);
}

void RootLoop::stop(ProcessId child, const Death& why) {
  Process* process = roster_.by_id(child);
  if (!process) return;
  if (!process->stopping) process->why_stopped = why;
  stop(*process);
}

void RootLoop::kill(ProcessId child) {
  if (Process* process = roster_.by_id(child)) kill(*process);
}

pid_t RootLoop::pid(ProcessId child) const {
  const Process* process = roster_.by_id(child);
  return process ? process->pid : 0;
}

void RootLoop::stop(Process& process) {
  if (std::exchange(process.stopping, true)) return;
  send_signal(process, SIGTERM);
  send_signal(process, SIGCONT);  // or it would not hear of it
  if (process.stop_timeout == kForever) return;
  process.kill_timer = timers_.at(deadline_after(process.stop_timeout), [this, id = process.id] { kill(id); });
}

void RootLoop::kill(ProcessId child, const Death& why) {
  Process* process = roster_.by_id(child);
  if (!process || process->verdict) return;
  process->verdict = why;
  if (why.cause != Death::Cause::hung) return kill(*process);
  send_signal(*process, tell_stack_signal());
  kill_when_told(child, Clock::now() + kTimeToTell);
}

void RootLoop::kill_when_told(ProcessId child, Clock::time_point deadline) {
  timers_.at(Clock::now() + kTellPeriod, [this, child, deadline] {
    Process* process = roster_.by_id(child);
    if (!process) return;
    const bool told = process->box && process->box->told == process->serial;
    if (told || Clock::now() >= deadline) kill(*process);
    else kill_when_told(child, deadline);
  });
}

void RootLoop::kill(Process& process) {
  process.killed = true;
  send_signal(process, SIGKILL);
}

void RootLoop::send_signal(const Process& process, int signal) {
  ::kill(process.pid, signal);  // not reaped yet, so the pid is its own
}

}  // namespace troupe::process
