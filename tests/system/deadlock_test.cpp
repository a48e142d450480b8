// Processes that wait for each other's locks are told of, by their names.

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <string>

#include <troupe/troupe.h>

#include "support/catch.h"
#include "support/leftovers.h"

namespace {

void take_both(troupe::Lock first, troupe::Lock second, troupe::Barrier both) {
  const std::scoped_lock hold(first);
  both.wait();
  const std::scoped_lock hold_too(second);
}

// Ada holds one and wants two, Bob holds two and wants one.
[[noreturn]] void be_deadlocked(int error) {
  ::dup2(error, STDERR_FILENO);
  ::signal(SIGTERM, SIG_DFL);  // not as the test runner has it
  char name[] = "program";
  char* argv[] = {name, nullptr};
  const troupe::Program program(1, argv);
  troupe::Lock one;
  troupe::Lock two;
  troupe::Barrier both(2);
  troupe::Process ada(take_both, one, two, both, troupe::ProcessOptions{.name = "Ada"});
  troupe::Process bob(take_both, two, one, both, troupe::ProcessOptions{.name = "Bob"});
  ada.start();
  bob.start();
  ada.join();
  std::_Exit(0);
}

}  // namespace

TEST_CASE("processes that wait for each other's locks in a circle are named, and left alone") {
  const troupe::test::Leftovers leftovers;
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  std::cout << std::flush;
  std::fflush(nullptr);
  const pid_t guard = ::fork();
  if (guard == 0) {
    ::close(ends[0]);
    be_deadlocked(ends[1]);
  }
  ::close(ends[1]);
  std::string said;
  for (char c = 0; said.find('\n') == std::string::npos && ::read(ends[0], &c, 1) == 1;) said += c;
  CHECK(said.starts_with("troupe: deadlock: `"));
  CHECK(said.find("`Ada` waits for a lock that `Bob` holds") != std::string::npos);
  CHECK(said.find("`Bob` waits for a lock that `Ada` holds") != std::string::npos);
  CHECK(::kill(guard, SIGTERM) == 0);
  int status = 0;
  CHECK(::waitpid(guard, &status, 0) == guard);
  char c;
  CHECK(::read(ends[0], &c, 1) == 0);  // it is told once, and all are gone
  ::close(ends[0]);
}
