// The process that root forks ahead: whatever becomes of it, nobody who starts processes notices.

#include <poll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <troupe/duration.h>
#include <troupe/errors.h>

#include "os/epoll.h"
#include "os/pidfd.h"
#include "os/proc.h"
#include "process/client.h"
#include "support/catch.h"
#include "support/stepper.h"
#include "support/traced.h"

using troupe::Death;
using namespace std::chrono_literals;
namespace os = troupe::os;
namespace process = troupe::process;

namespace {

process::Client& client() { return *process::Client::here(); }

// Its name, its parent as it was told, and its arguments are right: exit code 0.
int check_self(std::span<const std::byte> arguments) {
  std::array<char, 16> name{};
  ::prctl(PR_GET_NAME, name.data());
  const std::string expected = "self " + std::to_string(arguments.size());
  if (expected != name.data() || client().name() != expected) return 1;
  for (std::size_t i = 0; i < arguments.size(); ++i)
    if (arguments[i] != static_cast<std::byte>(i)) return 2;
  sigset_t pending;
  sigset_t blocked;
  sigpending(&pending);
  ::sigprocmask(SIG_BLOCK, nullptr, &blocked);
  for (const int signal : {SIGTERM, SIGUSR2, SIGCHLD})
    if (sigismember(&pending, signal) != 0 || sigismember(&blocked, signal) != 0) return 3;
  const char* variable = std::getenv("TROUPE_TEST");
  return variable && variable == expected ? 0 : 4;
}

void start_one(std::size_t size = 3) {
  std::vector<std::byte> arguments(size);
  for (std::size_t i = 0; i < size; ++i) arguments[i] = static_cast<std::byte>(i);
  const std::string name = "self " + std::to_string(size);
  const auto id = client().start(
      {.entry = &check_self, .arguments = std::move(arguments), .name = name, .environment = {{"TROUPE_TEST", name}}});
  const auto death = client().join(id);
  client().forget(id);
  REQUIRE(death == Death{Death::Cause::exited, 0, ""});
}

// The spare's pid, soon after a process was started.
pid_t spare() {
  const auto deadline = troupe::Clock::now() + 30s;
  while (troupe::Clock::now() < deadline) {
    start_one();
    for (int i = 0; i < 1000; ++i) {
      for (const pid_t pid : os::children_of(::getppid()))
        if (pid != ::getpid()) return pid;
      std::this_thread::yield();
    }
  }
  FAIL("root forks nothing ahead");
  return 0;
}

}  // namespace

TEST_CASE("processes that were forked ahead are like all others") {
  for (std::size_t i = 0; i < 100; ++i) start_one(i * 37);
  start_one(90'000);      // within the packet
  start_one(10'000'000);  // beside it
}

TEST_CASE("a process that was forked ahead and is killed is not missed") {
  for (int i = 0; i < 20; ++i) {
    const pid_t pid = spare();
    const auto pidfd = os::open_pidfd(pid);
    ::kill(pid, i % 2 == 0 ? SIGKILL : SIGSEGV);
    REQUIRE(os::wait_for(pidfd.get(), POLLIN, troupe::Clock::now() + 30s));
    start_one();
  }
}

TEST_CASE("killed at any system call while it becomes another, what was forked ahead ends as that one, or is not missed") {
  if (!troupe::test::kStepperWorks) return;
  std::size_t became = 0;
  std::size_t calls = 0;
  for (int whole = 0; whole < 2 && calls < 1000; ++calls) {  // it may have ended because nobody needed it for a while
    const pid_t pid = spare();
    std::optional<troupe::test::Traced> victim;
    try {
      victim.emplace(pid);
    } catch (const troupe::SystemError&) {
      WARN("this machine does not let processes trace others: nothing is killed here");
      return;
    }
    const auto id = client().start({.entry = &check_self, .name = "self 0", .environment = {{"TROUPE_TEST", "self 0"}}});
    whole = victim->steps(calls) < calls ? whole + 1 : 0;
    victim->kill();
    const auto death = client().join(id, 60s);
    client().forget(id);
    REQUIRE(death);
    INFO("killed at stop " << calls << ": " << death->describe());
    CHECK((*death == Death{Death::Cause::exited, 0, ""} || (death->cause == Death::Cause::signalled && death->code == SIGKILL)));
    became += death->cause == Death::Cause::signalled ? 1 : 0;
    start_one();
  }
  CHECK(calls < 1000);
  CHECK(became > calls / 2);
}

TEST_CASE("a process that was forked ahead and is stopped by a stranger is killed in time like any other") {
  const pid_t pid = spare();
  ::kill(pid, SIGSTOP);
  const auto id = client().start({.entry = &check_self, .name = "stopped", .stop_timeout = 100ms});
  client().stop(id);
  CHECK(client().join(id)->cause == Death::Cause::stopped);
  client().forget(id);
}

TEST_CASE("a signal to the tree does not wait for a process to come") {
  struct sigaction before {};
  struct sigaction ignored {};
  ignored.sa_handler = SIG_IGN;
  ::sigaction(SIGUSR2, &ignored, &before);
  const pid_t pid = spare();
  ::kill(pid, SIGUSR2);
  ::kill(::getppid(), SIGUSR2);
  const auto gone = [&] {
    for (const pid_t child : os::children_of(::getppid()))
      if (child == pid) return false;
    return true;
  };
  const auto deadline = troupe::Clock::now() + 30s;
  while (!gone() && troupe::Clock::now() < deadline) std::this_thread::yield();
  CHECK(gone());
  start_one();
  ::sigaction(SIGUSR2, &before, nullptr);
}

TEST_CASE("what was forked ahead for nothing ends") {
  start_one();
  const auto alone = [] { return os::children_of(::getppid()) == std::vector<pid_t>{::getpid()}; };
  const auto deadline = troupe::Clock::now() + 60s;
  while (!alone() && troupe::Clock::now() < deadline) std::this_thread::sleep_for(10ms);  // root's second passes meanwhile
  CHECK(alone());
}
