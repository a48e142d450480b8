#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <troupe/death.h>
#include <troupe/duration.h>
#include <troupe/limits.h>

#include "process/entry.h"
#include "process/id.h"
#include "process/thing_id.h"
#include "transport/link.h"

namespace troupe::process {

// Of a process, what its children know.
struct Relative {
  std::string name;
  pid_t pid = 0;
};

// What to start.
struct ChildSpec {
  Entry entry = nullptr;
  std::vector<std::byte> arguments;
  std::string name;                                                // what people see; need not be unique
  std::vector<std::pair<std::string, std::string>> environment;    // added to root's own
  Duration stop_timeout = std::chrono::seconds(5);                 // between SIGTERM and SIGKILL
  Duration start_timeout = kForever;                               // to say ready(); then SIGKILL and Death::not_ready
  Duration watchdog = kForever;                                    // no sign of life for so long while at work, or stopped: Death::hung
  bool daemon = false;                                             // stopped, not waited for, when its starter ends
  std::vector<ThingId> things = {};                                // what handles among its arguments stand for
  bool program = false;                                            // `entry` does not count: see execute.h
  bool keep_stderr = false;                                        // by root, the last lines, for its Death; passed on all the same
  Limits limits = {};
  std::uint32_t restarts = 0;                                      // before this start, by its supervisor: for its Death
};

// What the starter of a child hears, from root's loop: never from within a call to Root.
class ChildEvents {
 public:
  virtual ~ChildEvents() = default;
  // The child said ready(). Never comes for one that does not say it.
  virtual void ready(ProcessId child) = 0;
  // Comes once for every child, also for one that could not be started, after everything the child had said. Grandchildren that
  // it forked itself are ended by then.
  virtual void ended(ProcessId child, const Death& death) = 0;
};

// Something else that root does for processes, without knowing what: supervisors that processes ask for. Called from root's loop.
class Service {
 public:
  virtual ~Service() = default;
  // `client` said this with Client::order(). A ProtocolError ends it.
  virtual void ordered(ProcessId client, std::span<const std::byte> order) = 0;
  // A process that gave orders is dead.
  virtual void gone(ProcessId client) = 0;
  // The whole tree is to end; what the service has started is its own to end.
  virtual void ending(bool at_once) = 0;
};

// What code that runs inside root may ask of it: the supervisors' driver and `troupe run`. Root is one thread with one loop; it
// forks, reaps and introduces, and runs no user code. Calls return at once; what they cause is heard later, from the loop.
//
//     ProcessId child = root.start({.entry = &work, .name = "worker"}, events);
//     root.stop(child);    // events.ended(child, {Death::stopped}) follows
//
// Threads: confined to root's one thread. Nothing here throws, except std::bad_alloc.
class Root {
 public:
  using TimerId = std::uint64_t;

  virtual ~Root() = default;

  // `events` must outlive the child. A child that cannot be started has a number as well: ended() says why.
  virtual ProcessId start(ChildSpec spec, ChildEvents& events) = 0;
  // In order: SIGTERM, and SIGKILL when the stop time-out of its spec has passed. Its death is then Death::stopped. A child that
  // ended meanwhile is no error. A stopped (SIGSTOP) child is continued, so that it hears of it.
  virtual void stop(ProcessId child) = 0;
  // The same, and if it ends as asked its Death is `why`.
  virtual void stop(ProcessId child, const Death& why) = 0;
  // At once, by SIGKILL.
  virtual void kill(ProcessId child) = 0;
  // The same, and its Death is `why`. One that is hung is asked first where it is, and given a moment to say so.
  virtual void kill(ProcessId child, const Death& why) = 0;
  // The pid of a child that is alive, else 0. Its zombie is not reaped before ended() was called, so the pid is its own.
  [[nodiscard]] virtual pid_t pid(ProcessId child) const = 0;

  // Calls `action` once, not before `moment`.
  virtual TimerId call_at(Clock::time_point moment, std::function<void()> action) = 0;
  // A timer that has fired, or 0, is no error.
  virtual void cancel(TimerId timer) = 0;

  // An actor of this name will come: who looks it up waits for it, also while the process that has it is being replaced. Links
  // to it are made with `options`.
  virtual void declare(const std::string& name, const transport::LinkOptions& options) = 0;
  // From now on how two processes are linked is asked by their names, instead.
  virtual void choose_links(std::function<transport::LinkOptions(const std::string& one, const std::string& other)> choose) = 0;
  // It will not come (again), and why: answers all who wait and all who ask from now on.
  virtual void withdraw(const std::string& name, const Death& why) = 0;
  // No declared name will come again, because all is ending: as withdraw(), but actors that are there are found until they end.
  // end() does it by itself.
  virtual void withdraw_all(const Death& why) = 0;

  // Called with SIGINT, SIGTERM, SIGHUP or SIGQUIT for each time one was sent to the tree, however many of its processes got a copy.
  virtual void on_signal(std::function<void(int signal)> action) = 0;

  // Called when all begins to end, and again if what was to end in order is to end at once. Nothing can be started from then on: who
  // restarts what ends is to leave that.
  virtual void on_end(std::function<void(bool at_once)> action) = 0;

  // What a handle stands for is kept as often as it is held, for processes that will be started with it among their things.
  // Also one that is not there (any more): then nothing is.
  virtual bool hold(ThingId thing) { return (void)thing, false; }
  virtual void let_go(ThingId thing) { (void)thing; }

  // Hands orders to `service`, which lives as long as root.
  virtual void serve(Service& service) { (void)service; }
  // News for a process that gave orders; at most kNewsSizeMax bytes.
  virtual void tell_news(ProcessId client, std::uint64_t channel, std::span<const std::byte> news) { (void)client, (void)channel, (void)news; }
  static constexpr std::size_t kNewsSizeMax = 15 * 1024;

  // Ends whatever is left, in order, each within its own stop time-out, then leaves with `exit_code`; with `signal` instead of 0
  // the command dies of that signal, so that a shell script stops too. The first call counts.
  virtual void end(int exit_code, int signal = 0) = 0;
  // The same, but with SIGKILL for all, now. May follow end().
  virtual void end_now(int exit_code, int signal = 0) = 0;
};

}  // namespace troupe::process
