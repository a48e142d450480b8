// When root or guard is killed, at whatever moment, nothing of the tree is left.

#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <random>
#include <string>
#include <thread>

#include "os/epoll.h"
#include "os/pidfd.h"
#include "os/proc.h"
#include "process/guard.h"
#include "support/catch.h"
#include "support/leftovers.h"

using namespace std::chrono_literals;
namespace os = troupe::os;
namespace process = troupe::process;

namespace {

process::Client& client() { return *process::Client::here(); }

[[noreturn]] void sleep_on() {
  while (true) ::pause();
}

int sleeper(std::span<const std::byte>) { sleep_on(); }

// Leaves processes of its own behind: a child, a session of its own, an orphan, and one that ignores what can be ignored.
int forker(std::span<const std::byte>) {
  if (::fork() == 0) sleep_on();
  if (::fork() == 0) {
    ::setsid();
    if (::fork() == 0) sleep_on();
    ::_exit(0);
  }
  if (::fork() == 0) {
    for (int signal = 1; signal < NSIG; ++signal) ::signal(signal, SIG_IGN);
    if (::fork() == 0) sleep_on();
    sleep_on();
  }
  sleep_on();
}

int starter(std::span<const std::byte>) {
  client().start({.entry = &forker});
  client().start({.entry = &sleeper, .daemon = true});
  sleep_on();
}

// Main: something of everything, and then for ever more of it.
[[noreturn]] void be_busy() {
  client().start({.entry = &forker});
  client().start({.entry = &starter});
  while (true) {
    const auto brief = client().start({.entry = &sleeper});
    const auto forking = client().start({.entry = &forker});
    client().kill(brief);
    client().join(brief);
    client().kill(forking);
    client().join(forking);
  }
}

// A tree in processes of its own. All of them, whoever forked them, hold one end of a pipe; when it is closed they are gone.
struct Tree {
  os::Descriptor lifeline;
  pid_t guard = 0;

  Tree() {
    int fds[2];
    REQUIRE(::pipe(fds) == 0);
    std::cout << std::flush;
    std::fflush(nullptr);
    lifeline = os::Descriptor(fds[0]);
    guard = ::fork();
    if (guard == 0) {
      lifeline.reset();
      static const process::Origin origin;
      const auto main = process::fork_tree(origin);
      be_busy();
    }
    ::close(fds[1]);
  }

  [[nodiscard]] pid_t root() const {
    while (true) {
      const auto children = os::children_of(guard);
      if (!children.empty()) return children.front();
      std::this_thread::yield();  // not forked yet
    }
  }

  [[nodiscard]] bool gone_in(troupe::Duration time) const {
    return os::wait_for(lifeline.get(), POLLIN, troupe::Clock::now() + time);
  }
};

// What falls to us because guard is dead, and guard itself: reaped, and nothing that is not.
void reap_all(std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) REQUIRE(::wait(nullptr) > 0);
  CHECK(::wait(nullptr) < 0);
}

unsigned seed() {
  if (const char* given = std::getenv("TROUPE_SEED")) return static_cast<unsigned>(std::stoul(given));
  return std::random_device()();
}

enum class Who { root, guard, root_and_parents };

void kill_often(Who who) {
  const troupe::test::Leftovers leftovers;
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  const unsigned chosen = seed();
  INFO("TROUPE_SEED=" << chosen);
  std::mt19937 random(chosen);
  std::uniform_int_distribution<int> moment(0, 30000);
  std::vector<double> times;
  for (int i = 0; i < 100; ++i) {
    INFO("round " << i);
    const Tree tree;
    const pid_t root_pid = tree.root();
    const pid_t victim = who == Who::guard ? tree.guard : root_pid;
    // A random moment is what is tested; nothing depends on how long this really takes.
    std::this_thread::sleep_for(std::chrono::microseconds(moment(random)));
    const auto begin = troupe::Clock::now();
    // Root's children may have ended by now, but as long as it does not run it reaps none: their pids are theirs.
    if (who == Who::root_and_parents) {
      ::kill(root_pid, SIGSTOP);
      for (const pid_t parent : os::children_of(root_pid)) ::kill(parent, SIGKILL);
    }
    ::kill(victim, SIGKILL);
    REQUIRE(tree.gone_in(10s));
    times.push_back(std::chrono::duration<double, std::milli>(troupe::Clock::now() - begin).count());
    reap_all(who == Who::guard ? 2 : 1);  // root becomes our child when guard is dead
  }
  ::prctl(PR_SET_CHILD_SUBREAPER, 0);
  std::ranges::sort(times);
  std::printf("kill -9 of %s, seed %u: all gone after %.1f ms (median), %.1f ms (worst)\n", who == Who::guard ? "guard" : who == Who::root ? "root" : "root and all parents", chosen, times[50],
              times.back());
}

}  // namespace

TEST_CASE("when root is killed nothing is left") { kill_often(Who::root); }

TEST_CASE("when guard is killed nothing is left") { kill_often(Who::guard); }

TEST_CASE("when parents are killed together with root their daemons go, too, and what they forked") { kill_often(Who::root_and_parents); }
