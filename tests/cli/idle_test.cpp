// A topology that has nothing to do does nothing: no process of it is put on a CPU, not even now and then.

#include <csignal>
#include <fstream>
#include <map>
#include <string>
#include <thread>

#include <troupe/duration.h>

#include "os/proc.h"
#include "scratch.h"
#include "support/catch.h"
#include "support/command.h"

using namespace troupe::test;
using namespace std::chrono_literals;

namespace {

// How often each process of the tree was taken from its CPU. Programs under test have one thread a process.
std::map<pid_t, std::string> switches_below(pid_t guard) {
  auto pids = troupe::os::descendants_of(guard);
  pids.push_back(guard);
  std::map<pid_t, std::string> switches;
  for (const pid_t pid : pids) {
    std::ifstream status("/proc/" + std::to_string(pid) + "/status");
    for (std::string line; std::getline(status, line);)
      if (line.find("ctxt_switches") != std::string::npos) switches[pid] += line + '\n';
  }
  return switches;
}

}  // namespace

TEST_CASE("an idle topology sleeps") {
  const Scratch scratch;
  const auto file = scratch.file(process("a", "idler") + process("b", "idler") +
                                 process("asked", "greeter", "args = { words = \"hello\" }\nrestart = \"transient\"") +
                                 process("asks", "asker", "args = { whom = \"asked\" }\nrestart = \"transient\""));
  Command command({TROUPE_COMMAND, "run", file});
  // Guard, root, a and b are left, and one day nothing happens for a second: a test of a loaded machine is not to fail, only one
  // of a tree that never rests.
  constexpr std::size_t kLeft = 4;
  const auto deadline = troupe::Clock::now() + 60s;
  auto before = switches_below(command.pid());
  bool quiet = false;
  while (!quiet && command.running() && troupe::Clock::now() < deadline) {
    std::this_thread::sleep_for(1s);  // a second without any event is what is to be seen
    auto after = switches_below(command.pid());
    quiet = after.size() == kLeft && after == before;
    before = std::move(after);
  }
  CHECK(quiet);
  command.signal(SIGTERM);
  CHECK(command.wait().exit_code == -SIGTERM);
}
