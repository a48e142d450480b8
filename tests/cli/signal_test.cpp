// How a run is stopped: Ctrl-C in a real terminal, and signals.

#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "os/descriptor.h"
#include "os/proc.h"
#include "scratch.h"
#include "support/catch.h"
#include "support/terminal.h"

using namespace troupe::test;

namespace {

std::vector<std::string> run(const std::string& file) { return {TROUPE_COMMAND, "run", file}; }

std::string three_idlers() { return process("a", "idler") + process("b", "idler") + process("c", "idler"); }

// R, S, T …: as ps shows it.
char state_of(pid_t pid) {
  std::string line;
  std::getline(std::ifstream("/proc/" + std::to_string(pid) + "/stat"), line);
  const auto name_end = line.rfind(')');
  return name_end + 2 < line.size() ? line[name_end + 2] : '?';
}

bool in_order(const std::string& text, const std::vector<std::string>& parts) {
  std::size_t at = 0;
  for (const auto& part : parts) {
    at = text.find(part, at);
    if (at == std::string::npos) return false;
  }
  return true;
}

}  // namespace

TEST_CASE("Ctrl-C stops all in reverse order, and the command dies of it") {
  const Scratch scratch;
  Terminal terminal(run(scratch.file(three_idlers())));
  REQUIRE(terminal.wait_for("c up"));
  terminal.type("\x03");
  CHECK(terminal.end() == -SIGINT);
  INFO(terminal.output());
  CHECK(in_order(terminal.output(), {"a up", "b up", "c up", "stopping 3 processes in order (Ctrl-C again: at once)", "c stopped", "b stopped",
                                     "a stopped"}));
}

TEST_CASE("a second Ctrl-C ends all at once") {
  const Scratch scratch;
  Terminal terminal(run(scratch.file(process("a", "idler", "args = { deaf = true }\nstop_timeout = \"infinity\""))));
  REQUIRE(terminal.wait_for("a up"));
  terminal.type("\x03");
  REQUIRE(terminal.wait_for("a deaf"));
  terminal.type("\x03");
  CHECK(terminal.end() == -SIGINT);
  INFO(terminal.output());
  CHECK(in_order(terminal.output(), {"stopping 1 process in order", "a deaf", "stopping at once"}));
}

TEST_CASE("one that does not stop is killed when its time is up") {
  const Scratch scratch;
  Terminal terminal(run(scratch.file(process("a", "idler") + process("b", "idler", "args = { deaf = true }\nstop_timeout = \"200ms\""))));
  REQUIRE(terminal.wait_for("b up"));
  terminal.type("\x03");
  CHECK(terminal.end() == -SIGINT);
  CHECK(in_order(terminal.output(), {"b deaf", "a stopped"}));
}

TEST_CASE("Ctrl-Z stops all, and fg lets them go on") {
  const Scratch scratch;
  Terminal terminal(run(scratch.file(process("a", "idler") + process("b", "idler"))));
  REQUIRE(terminal.wait_for("b up"));
  const auto all = troupe::os::descendants_of(terminal.job());
  REQUIRE(all.size() == 3);  // root, a, b
  terminal.type("\x1a");
  REQUIRE(terminal.wait_stopped());
  for (const pid_t pid : all)
    while (state_of(pid) != 'T') {}
  terminal.foreground();
  for (const pid_t pid : all)
    while (state_of(pid) == 'T') {}
  terminal.type("\x03");
  CHECK(terminal.end() == -SIGINT);
  INFO(terminal.output());
  CHECK(in_order(terminal.output(), {"a up", "b up", "stopping 2 processes in order", "b stopped", "a stopped"}));
}

TEST_CASE("a tree that was stopped as a whole is not taken for hung") {
  const Scratch scratch;
  Terminal terminal(run(scratch.file(process("a", "idler", "watchdog = \"50ms\"") + process("b", "idler", "watchdog = \"50ms\""))));
  REQUIRE(terminal.wait_for("b up"));
  terminal.type("\x1a");
  REQUIRE(terminal.wait_stopped());
  std::this_thread::sleep_for(std::chrono::milliseconds(500));  // ten periods
  terminal.foreground();
  std::this_thread::sleep_for(std::chrono::milliseconds(200));  // and some more
  terminal.type("\x03");
  CHECK(terminal.end() == -SIGINT);
  INFO(terminal.output());
  CHECK(terminal.output().find("restart") == std::string::npos);
  CHECK(in_order(terminal.output(), {"b stopped", "a stopped"}));
}

TEST_CASE("one that hangs is killed and restarted") {
  const Scratch scratch;
  Terminal terminal(run(scratch.file(process("a", "crasher", "args = { how = \"hang\" }\nwatchdog = \"100ms\""))));
  CHECK(terminal.wait_for("`a` hung: no sign of life for 100ms; restart 1 now"));
  CHECK(terminal.end() == 1);  // again and again
}

TEST_CASE("SIGTERM to root alone stops in order, too") {
  const Scratch scratch;
  Terminal terminal(run(scratch.file(three_idlers())));
  REQUIRE(terminal.wait_for("c up"));
  const auto root = troupe::os::children_of(terminal.job());
  REQUIRE(root.size() == 1);
  ::kill(root.front(), SIGTERM);
  CHECK(terminal.end() == -SIGTERM);
  INFO(terminal.output());
  CHECK(in_order(terminal.output(), {"c stopped", "b stopped", "a stopped"}));
}

TEST_CASE("signals stop in order, too") {
  const int number = GENERATE(SIGTERM, SIGHUP, SIGINT);
  const Scratch scratch;
  Terminal terminal(run(scratch.file(three_idlers())));
  REQUIRE(terminal.wait_for("c up"));
  terminal.signal(number);
  CHECK(terminal.end() == -number);
  INFO(terminal.output());
  CHECK(in_order(terminal.output(), {"c stopped", "b stopped", "a stopped"}));
}

TEST_CASE("a signal to the whole group restarts nobody who obeys it sooner than root") {
  const Scratch scratch;
  Terminal terminal(run(scratch.file(three_idlers())));
  REQUIRE(terminal.wait_for("c up"));
  terminal.signal_group(SIGTERM);
  CHECK(terminal.end() == -SIGTERM);
  INFO(terminal.output());
  CHECK(terminal.output().find("restart") == std::string::npos);
  CHECK(in_order(terminal.output(), {"stopping 3 processes in order"}));
}

TEST_CASE("a run can be stopped while a child is in its back-off") {
  const Scratch scratch;
  Terminal terminal(run(scratch.file("[supervisor]\nmax_restarts = 9\nbackoff = { min = \"1m\", max = \"1m\" }\n" + process("a", "idler") +
                                 process("bad", "crasher", "args = { how = \"exit\" }"))));
  REQUIRE(terminal.wait_for("restart 2 in "));
  terminal.type("\x03");
  CHECK(terminal.end() == -SIGINT);
  CHECK(terminal.wait_for("a stopped"));
}

TEST_CASE("closing the terminal stops the run") {
  const Scratch scratch;
  Terminal terminal(run(scratch.file(three_idlers())));
  REQUIRE(terminal.wait_for("c up"));
  terminal.close();
  CHECK(terminal.end() == -SIGHUP);
}

TEST_CASE("so does closing it where no shell is between") {
  const Scratch scratch;
  pid_t run = 0;
  {
    int master = -1;
    run = forkpty(&master, nullptr, nullptr, nullptr);
    if (run == 0) {
      alarm(60);
      execl(TROUPE_COMMAND, TROUPE_COMMAND, "run", scratch.file(process("a", "idler")).c_str(), nullptr);
      _exit(127);
    }
    const troupe::os::Descriptor terminal(master);
    std::string seen;
    char byte = 0;
    while (seen.find("a up") == std::string::npos && read(master, &byte, 1) == 1) seen += byte;
    REQUIRE(seen.find("a up") != std::string::npos);
  }
  int status = 0;
  REQUIRE(waitpid(run, &status, 0) == run);
  CHECK(WIFSIGNALED(status));
  CHECK(WTERMSIG(status) == SIGHUP);
}
