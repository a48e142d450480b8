#include "process/root_loop.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "os/pidfd.h"
#include "process/autopsy.h"
#include "process/birth.h"
#include "process/crash.h"
#include "process/guard.h"
#include "process/mark.h"
#include "process/packet.h"

namespace troupe::process {

namespace {

Serial serial_of(const epoll_event& event) { return static_cast<Serial>(event.data.u64 >> 3); }

// With more children than this, those that ended well have their strays looked for from time to time only.
constexpr std::size_t kFewChildren = 64;
constexpr Duration kStrayDelay = std::chrono::milliseconds(20);

sigset_t signals_read() {
  auto set = forwarded_signals();
  sigaddset(&set, forward_signal());
  return set;
}

// A child takes several descriptors; what the user may open is restored in each.
void raise_descriptor_limit(rlimit files) {
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
}

}  // namespace

RootLoop::RootLoop(const Origin& origin, const os::Descriptor& guard)
    : origin_(origin),
      signals_((os::block_signals(signals_read()), signals_read())),
      child_signals_((os::block_signals(os::signal_set({SIGCHLD})), os::signal_set({SIGCHLD}))),
      merge_(timers_, [this](SignalMerge::Merged merged) { signalled(merged); }) {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  os::block_signals(os::signal_set({SIGPIPE}));  // for the sink; those of our children are as they were
  install_crash_handlers();
  raise_descriptor_limit(origin.files);
  epoll_.add(guard.get(), EPOLLIN, key(Source::guard));
  epoll_.add(signals_.descriptor(), EPOLLIN, key(Source::signals));
  epoll_.add(child_signals_.descriptor(), EPOLLIN | EPOLLONESHOT, key(Source::child_signals));
}

RootLoop::~RootLoop() = default;

Ending RootLoop::run() {
  prepare_exits();
  for (leave_if_done(); state_ != State::left; leave_if_done()) pass();
  return ending_;
}

void RootLoop::pass() {
  std::array<epoll_event, 256> room;
  const auto events = epoll_.wait(room, spare_due_ || things_.has_early() ? Clock::now() : timers_.next());
  if (events.empty()) things_.forget_early();
  if (events.empty() && spare_due_) prepare_spare();
  const auto source = [](const epoll_event& event) { return static_cast<Source>(event.data.u64 & 7); };
  // Signals first: of a whole group that is told to end, no process is to be restarted because it obeyed sooner than we.
  if (std::ranges::any_of(events, [&](const auto& event) { return source(event) == Source::signals; })) read_signals();
  // Deaths before anything else: who asks for the dead is to hear of it, and no pid is used again before it is buried.
  for (const auto& event : events) {
    if (source(event) != Source::pidfd) continue;
    if (Process* process = roster_.by_serial(serial_of(event))) bury(*process);
  }
  for (const auto& event : events) attend(event);
  timers_.run(Clock::now());
}

void RootLoop::attend(const epoll_event& event) {
  switch (static_cast<Source>(event.data.u64 & 7)) {
    case Source::pidfd: return;
    case Source::guard: return end_now(1, 0);
    case Source::signals: return;
    case Source::child_signals: return child_signalled();
    case Source::sink: return sink_writable();
    case Source::output:
      if (Process* process = roster_.by_serial(serial_of(event)); process && process->output) read_output(*process);
      return;
    case Source::heart:
      if (Process* process = roster_.by_serial(serial_of(event))) feel(*process);
      return;
    case Source::socket: break;
  }
  Process* client = roster_.by_serial(serial_of(event));
  if (!client || !client->socket) return;
  if (event.events & EPOLLOUT) flush(*client);
  if (event.events & (EPOLLIN | EPOLLHUP | EPOLLERR)) serve(*client);
}

void RootLoop::bury(Process& process) {
  if (merge_.open()) return postpone(process);
  process.dead = true;
  for (int i = 0; i < kLastWordsMax && process.socket && serve(process); ++i) {
  }
  const auto exit = os::reap(process.pid);
  if (!exit) return postpone(process);
  read_last_output(process);
  judge_group(process, *exit);
  const Death death = autopsy(process, *exit);
  timers_.cancel(process.start_timer);
  timers_.cancel(process.kill_timer);
  timers_.cancel(process.stop_watch);
  timers_.cancel(process.busy_timer);
  unwatch(process);
  introduce_early(process);
  const auto dead = roster_.remove(process, death);
  if (!dead->own_box.bytes().empty()) dead->box = nullptr;
  dead->group.reset();
  if (dead->over_budget && dead->box) dead->box->over_budget = 0;
  boxes_.give_back(dead->box);
  take_things(*dead, death.normal());
  for (ProcessId child : dead->started) stop(child);
  for (ProcessId peer : dead->linked) {
    if (Process* client = roster_.by_id(peer)) {
      client->linked.erase(dead->id);
      tell_down(*client, dead->id, death);
    }
  }
  // Those who waited for an answer know now; to look for what it left takes as long as telling several of them. Who joins it hears of its
  // death when that, too, has been told to end.
  strays_end_ = true;
  if (roster_.size() < kFewChildren || !death.normal()) tend_strays();
  else tend_strays_at(next_look_);
  if (dead->uses_service) service_->gone(dead->id);
  if (dead->uses_names) names_.ended(dead->id, death);
  report(dead->id, dead->pid, death, dead->events);
  if (dead->id == main_) end(death.cause == Death::Cause::signalled ? 1 : death.exitcode(),
                             death.cause == Death::Cause::signalled ? death.code : 0);
}

// A debugger has the first word on the death of what it traces; until then it cannot be reaped.
void RootLoop::postpone(Process& process) {
  epoll_.change(process.pidfd.get(), 0, key(Source::pidfd, process.serial));
  timers_.at(Clock::now() + std::chrono::milliseconds(10), [this, serial = process.serial] {
    if (Process* traced = roster_.by_serial(serial)) epoll_.change(traced->pidfd.get(), EPOLLIN, key(Source::pidfd, serial));
  });
}

// SIGCHLD. Our processes' own deaths come by pidfd, and strays are looked for then: this is for strays that end by themselves, and
// looked into now and then only, not once more for every death.
void RootLoop::child_signalled() { tend_strays_at(strays_end_ ? Clock::now() : Clock::now() + kStrayDelay); }

void RootLoop::tend_strays_at(Clock::time_point moment) {
  if (look_timer_ != 0 && look_at_ <= moment) return;
  timers_.cancel(look_timer_);
  look_at_ = moment;
  look_timer_ = timers_.at(moment, [this] {
    look_timer_ = 0;
    child_signals_.discard();
    if (hearts_ > 0) note_stops();
    tend_strays();
    hear_child_signals();
  });
}

void RootLoop::hear_child_signals() {
  epoll_.change(child_signals_.descriptor(), EPOLLIN | EPOLLONESHOT, key(Source::child_signals));
}

bool RootLoop::has_forefather(pid_t stray) const {
  const auto serial = mark_of(stray, ::getpid());
  const Process* forefather = serial ? roster_.by_serial(*serial) : nullptr;
  return forefather && !forefather->dead;
}

// Whoever is our child but was not started by us was left behind by one that was, or by one of its children. It is reaped when it
// ends, and ended when its forefather has.
void RootLoop::tend_strays() {
  const auto begin = Clock::now();
  strays_end_ = false;
  for (pid_t pid : children_.read()) {
    if (roster_.has_pid(pid) || (spare_ && spare_->pid == pid) || os::reap(pid)) continue;
    if (!has_forefather(pid) && ::kill(pid, SIGKILL) == 0) strays_end_ = true;
  }
  if (strays_end_) hear_child_signals();  // when they end we look again: they may leave some of their own
  if (groups_) groups_->sweep();
  const auto end = Clock::now();
  next_look_ = end + std::max<Duration>(kStrayDelay, 20 * (end - begin));
}

void RootLoop::read_signals() {
  drop_spare();  // if they were sent to our group it has them, too, and is not to die of them when it has become somebody
  while (const auto info = signals_.read()) {
    const int signal = static_cast<int>(info->ssi_signo);
    if (signal == forward_signal()) {
      if (info->ssi_int > 0 && info->ssi_int < NSIG) merge_.add(info->ssi_int, SignalMerge::From::guard, Clock::now());
    } else {
      merge_.add(signal, info->ssi_code == SI_KERNEL ? SignalMerge::From::terminal : SignalMerge::From::others, Clock::now());
    }
  }
}

void RootLoop::signalled(SignalMerge::Merged merged) {
  const bool deadly = merged.signal != SIGUSR1 && merged.signal != SIGUSR2;
  if (const Process* main = roster_.by_id(main_)) {
    if (!merged.to_group) send_signal(*main, merged.signal);  // it decides what comes of it
  } else if (!deadly) {
    return;
  } else if (on_signal_) {
    on_signal_(merged.signal);
  } else if (state_ == State::running) {
    end(1, merged.signal);
  } else {
    end_now(1, merged.signal);  // the user has no patience with children that end in order
  }
}

void RootLoop::on_signal(std::function<void(int)> action) { on_signal_ = std::move(action); }

void RootLoop::on_end(std::function<void(bool)> action) { on_end_ = std::move(action); }

Root::TimerId RootLoop::call_at(Clock::time_point moment, std::function<void()> action) { return timers_.at(moment, std::move(action)); }

void RootLoop::cancel(TimerId timer) { timers_.cancel(timer); }

void RootLoop::end(int exit_code, int signal) {
  if (state_ != State::running) return;
  state_ = State::ending;
  ending_ = {exit_code, signal};
  withdraw_all({Death::Cause::unreachable, 0, "the tree is ending"});
  // What a service has started it ends itself, in its own order.
  roster_.for_each([this](Process& process) {
    if (!service_ || !process.events) stop(process);
  });
  tell_of_end(false);
}

void RootLoop::end_now(int exit_code, int signal) {
  if (state_ == State::running) ending_ = {exit_code, signal};
  const bool news = state_ < State::ending_now;
  state_ = std::max(state_, State::ending_now);
  withdraw_all({Death::Cause::unreachable, 0, "the tree is ending"});
  roster_.for_each([this](Process& process) { kill(process); });
  if (news) tell_of_end(true);
}

// Before any of it is seen: who restarts what ends would try again and again.
void RootLoop::tell_of_end(bool at_once) {
  if (service_) service_->ending(at_once);
  if (on_end_) on_end_(at_once);
}

void RootLoop::leave_if_done() {
  if (state_ == State::running || roster_.size() > 0) return;
  end_all_children();  // strays
  if (groups_) groups_->sweep();
  state_ = State::left;
}

}  // namespace troupe::process
