// Processes that hang are killed and come back; those that only seem to are left alone.

#include <troupe/supervisor.h>

#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <mutex>
#include <string>
#include <thread>

#include "program/test_supervisor.capnp.h"
#include "support/catch.h"
#include "support/leftovers.h"

using namespace troupe;
using namespace std::chrono_literals;
using test::Ping;
using test::Pong;

namespace {

enum How { kLoop, kDeadlock, kSlowly };

class Patient : public Actor {
 public:
  Patient(Context& context, int how) : Actor(context) {
    on<Ping, Pong>([this, how](Ping::Reader ping, Responder<Pong> reply) {
      if (!ping.getFail()) return reply.reply([](Pong::Builder pong) { pong.setPid(::getpid()); });
      reply_ = std::move(reply);
      hang(how);
    });
  }

 private:
  void hang(int how) {
    std::timed_mutex mutex;
    volatile bool forever = how == kLoop;
    while (forever) {
    }
    if (how == kDeadlock) {
      mutex.lock();
      while (!mutex.try_lock_for(1h)) {
      }
    }
    take_time(Clock::now() + 2500ms);
  }
  // One handler after the other, each of a hundredth of the watchdog's time.
  void take_time(Clock::time_point until) {
    std::this_thread::sleep_for(10ms);  // work
    if (Clock::now() >= until) return reply_.reply([](Pong::Builder pong) { pong.setPid(::getpid()); });
    after(Duration::zero(), [this, until] { take_time(until); });
  }
  Responder<Pong> reply_;
};

pid_t ping(const std::string& name, bool hang = false) {
  return static_cast<pid_t>(ask<Ping, Pong>(look_up(name), [&](Ping::Builder p) { p.setFail(hang); }).get(60s)->getPid());
}

void sleep_on() {
  while (true) ::pause();
}

void beat_once() {
  heartbeat();
  sleep_on();
}

void beat_on() {
  while (true) {
    heartbeat();
    ::usleep(1000);  // work
  }
}

volatile std::sig_atomic_t told = 0;

void beat_when_told() {
  ::signal(SIGUSR1, [](int) { told = 1; });
  heartbeat();
  say_ready();
  while (!told) ::usleep(1000);  // work
  beat_on();
}

// As a debugger does; false where that is not allowed.
bool hold(pid_t pid) {
  if (::ptrace(PTRACE_SEIZE, pid, nullptr, nullptr) != 0) {
    WARN("skipped: this process may not debug others (" << std::strerror(errno) << "; see kernel.yama.ptrace_scope)");
    return false;
  }
  REQUIRE(::ptrace(PTRACE_INTERRUPT, pid, nullptr, nullptr) == 0);
  REQUIRE(::waitpid(pid, nullptr, __WALL) == pid);
  return true;
}

ChildInfo wait_for_restart(Supervisor& supervisor) {
  while (true) {
    const auto child = supervisor.which_children().at(0);
    if (child.restarts > 0 && child.state == ChildState::running) return child;
    ::usleep(1000);  // only so as not to ask all the time
  }
}

long switches_of(pid_t pid) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  const std::string key = "voluntary_ctxt_switches:";
  for (std::string line; std::getline(status, line);)
    if (line.starts_with(key)) return std::stol(line.substr(key.size()));
  return -1;
}

const Death kHung{Death::Cause::hung, -SIGKILL, "no sign of life for 200ms"};

}  // namespace

TEST_CASE("a handler that loops, or is in a deadlock, is hung, and its process comes back") {
  const int how = GENERATE(kLoop, kDeadlock);
  Supervisor supervisor("", {.children = {Child::actor<Patient>("patient", how, ChildOptions{.watchdog = 200ms})}});
  supervisor.start();
  const pid_t before = ping("patient");
  try {
    ping("patient", true);
    FAIL("it cannot have answered");
  } catch (const ActorDown& down) {
    CHECK(down.death() == kHung);
  }
  CHECK(wait_for_restart(supervisor).last_death == kHung);
  CHECK(ping("patient") != before);
}

TEST_CASE("a function that does not go on beating is hung") {
  Supervisor supervisor("", {.max_restarts = 0, .children = {Child("quiet", beat_once, ChildOptions{.watchdog = 200ms})}});
  supervisor.start();
  supervisor.join();
  CHECK(supervisor.death()->detail == "gave up on `quiet`: hung: no sign of life for 200ms");
}

TEST_CASE("what is stopped is hung, whether it had something to do or not") {
  Supervisor supervisor("", {.children = {Child("sleeper", sleep_on, ChildOptions{.watchdog = 200ms})}});
  supervisor.start();
  ::kill(*supervisor.which_children().at(0).pid, SIGSTOP);
  CHECK(wait_for_restart(supervisor).last_death == Death{Death::Cause::hung, -SIGKILL, "stopped for 200ms"});
}

TEST_CASE("one that takes its time but gets on, one that sleeps, and one that was stopped for a moment are left alone") {
  Supervisor supervisor("", {.children = {Child::actor<Patient>("slow", kSlowly, ChildOptions{.watchdog = 1s}),
                                          Child::actor<Patient>("idle", kSlowly, ChildOptions{.watchdog = 1s})}});
  supervisor.start();
  const pid_t slow = ping("slow"), idle = ping("idle");
  ::kill(idle, SIGSTOP);
  ::kill(idle, SIGCONT);
  CHECK(ping("slow", true) == slow);  // takes more than twice its time
  CHECK(ping("idle") == idle);
}

TEST_CASE("what a debugger holds is not hung") {
  Supervisor supervisor("", {.children = {Child("held", beat_on, ChildOptions{.watchdog = 100ms})}});
  supervisor.start();
  const pid_t pid = *supervisor.which_children().at(0).pid;
  if (!hold(pid)) return supervisor.stop();
  std::this_thread::sleep_for(1s);  // ten times what it may be silent for
  REQUIRE(::ptrace(PTRACE_DETACH, pid, nullptr, nullptr) == 0);
  const auto child = supervisor.which_children().at(0);
  CHECK(child.pid == pid);
  CHECK(child.restarts == 0);
  // And when it is let go it is watched as ever.
  ::kill(pid, SIGSTOP);
  CHECK(wait_for_restart(supervisor).last_death->cause == Death::Cause::hung);
}

TEST_CASE("what a debugger held for a part of the period has all of it again") {
  constexpr std::chrono::milliseconds kPeriod = 2s;
  Supervisor supervisor("", {.children = {Child("held", beat_when_told, ChildOptions{.says_ready = true, .watchdog = kPeriod})}});
  supervisor.start();
  const pid_t pid = *supervisor.which_children().at(0).pid;
  std::this_thread::sleep_for(kPeriod / 5);  // how long it was silent is what this is about
  if (!hold(pid)) return supervisor.stop();
  std::this_thread::sleep_for(kPeriod * 3 / 5);  // likewise
  REQUIRE(::ptrace(PTRACE_DETACH, pid, nullptr, nullptr) == 0);
  std::this_thread::sleep_for(kPeriod / 3);  // it has done nothing for more than the period now, and nobody holds it
  REQUIRE(::kill(pid, SIGUSR1) == 0);
  std::this_thread::sleep_for(kPeriod / 2);  // root would have found it hung by then
  const auto child = supervisor.which_children().at(0);
  CHECK(child.pid == pid);
  CHECK(child.restarts == 0);
}

TEST_CASE("a watched tree that is idle wakes nobody") {
  Supervisor supervisor("", {.children = {Child::actor<Patient>("one", kSlowly, ChildOptions{.watchdog = 50ms}),
                                          Child("two", sleep_on, ChildOptions{.watchdog = 50ms})}});
  supervisor.start();
  const pid_t one = ping("one"), root = ::getppid();
  // Until the timer of the time when it was awake has fired: root alone knows when.
  long before = -1;
  while (before != switches_of(root)) {
    before = switches_of(root);
    std::this_thread::sleep_for(300ms);  // six periods
  }
  const long child = switches_of(one);
  std::this_thread::sleep_for(1s);  // twenty more
  CHECK(switches_of(root) == before);
  CHECK(switches_of(one) == child);
}
