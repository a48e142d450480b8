// Children that are other programs.

#include <troupe/process.h>

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <stdexcept>
#include <string>

#include <troupe/program.h>

#include "support/catch.h"
#include "support/leftovers.h"
#include "support/sanitizers.h"

using troupe::Death;
using troupe::Process;
using troupe::ProcessOptions;

namespace {

Death end_of(Process process) {
  process.start();
  process.join();
  return process.death().value();
}

}  // namespace

// This test program, executed by the test below.
TEST_CASE("in a program that was executed", "[.executed]") {
  CHECK(troupe::current_process().name == "another");
  CHECK(troupe::current_process().pid == ::getpid());
  REQUIRE(troupe::parent_process());
  CHECK(troupe::parent_process()->name == "MainProcess");
  CHECK(std::getenv("TROUPE_CHILD") == nullptr);
  CHECK_THROWS_AS(Process([] {}), std::invalid_argument);
  CHECK(end_of(Process::program("sh", {"-c", "exit 9"})).code == 9);
  Process other = Process::program("sleep", {"1000"});
  other.start();
  other.terminate();
  other.join();
  CHECK(other.exitcode() == -SIGTERM);
}

TEST_CASE("a child may be another program, and joins the tree by its Program") {
  const troupe::test::Leftovers leftovers;
  CHECK(end_of(Process::program("/proc/self/exe", {"[executed]", "-o", "/dev/null"}, {.name = "another"})).describe() ==
        "exited with code 0");
}

TEST_CASE("of a program that was executed and crashes it is known where") {
  if (troupe::test::kSanitized) return;  // sanitizers explain crashes themselves
  const troupe::test::Leftovers leftovers;
  const Death death = end_of(Process::program("/proc/self/exe", {"--crash"}));
  INFO(death.report());
  CHECK(death.describe() == "killed by SIGABRT");
  CHECK(std::ranges::any_of(death.stack, [](const auto& frame) { return frame.find("crash_as_a_program() in ") != std::string::npos; }));
}

TEST_CASE("a child may be a program that knows nothing of troupe") {
  const troupe::test::Leftovers leftovers;
  CHECK(end_of(Process::program("true")).code == 0);
  CHECK(end_of(Process::program("sh", {"-c", "exit $A"}, {.environment = {{"A", "7"}}})).code == 7);
  CHECK(end_of(Process::program("sh", {"-c", "kill -SEGV $$"})).describe() == "killed by SIGSEGV");
  // A tree of its own below one of its processes.
  CHECK(end_of(Process::program("sh", {"-c", "/proc/$$/exe -c 'exit 3'"})).code == 3);
  const Death death = end_of(Process::program("/nowhere/program"));
  CHECK(death.describe() == "failed to start: cannot execute /nowhere/program: No such file or directory");
  CHECK_THROWS_AS(Process::program("true").run(), std::logic_error);
}
