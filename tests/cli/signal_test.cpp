// How a run is stopped: Ctrl-C in a real terminal, and signals.

#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "os/descriptor.h"
#include "os/proc.h"
#include "scratch.h"
#include "support/catch.h"

using namespace troupe::test;

namespace {

// A run of a topology with a terminal of its own.
class Terminal {
 public:
  explicit Terminal(const std::string& file) {
    int master = -1;
    pid_ = forkpty(&master, nullptr, nullptr, nullptr);
    REQUIRE(pid_ >= 0);
    if (pid_ == 0) {
      alarm(60);  // kept by exec: a test that fails hangs nobody
      setenv("NO_COLOR", "1", 1);
      execl(TROUPE_COMMAND, TROUPE_COMMAND, "run", file.c_str(), nullptr);
      _exit(127);
    }
    master_ = troupe::os::Descriptor(master);
  }
  ~Terminal() {
    if (pid_ == 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }

  // Reads until `text` has come `times` times, or the end.
  bool wait_for(const std::string& text, int times = 1) {
    while (true) {
      int seen = 0;
      for (auto at = output_.find(text); at != std::string::npos; at = output_.find(text, at + 1)) ++seen;
      if (seen >= times) return true;
      if (!read_some()) return false;
    }
  }
  void type(const std::string& keys) { REQUIRE(write(master_.get(), keys.data(), keys.size()) == static_cast<ssize_t>(keys.size())); }
  void signal(int number) const { ::kill(pid_, number); }
  void signal_group(int number) const { ::kill(-pid_, number); }

  // Its exit code, or minus the signal.
  int end() {
    while (read_some()) {}
    int status = 0;
    REQUIRE(::waitpid(std::exchange(pid_, 0), &status, 0) > 0);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
  }
  [[nodiscard]] const std::string& output() const { return output_; }

 private:
  bool read_some() {
    char buffer[4096];
    const auto got = ::read(master_.get(), buffer, sizeof buffer);
    if (got <= 0) return false;  // EIO: nobody has the terminal open any more
    output_.append(buffer, static_cast<std::size_t>(got));
    return true;
  }

  pid_t pid_ = 0;
  troupe::os::Descriptor master_;
  std::string output_;
};

std::string three_idlers() { return process("a", "idler") + process("b", "idler") + process("c", "idler"); }

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
  Terminal terminal(scratch.file(three_idlers()));
  REQUIRE(terminal.wait_for("c up"));
  terminal.type("\x03");
  CHECK(terminal.end() == -SIGINT);
  INFO(terminal.output());
  CHECK(in_order(terminal.output(), {"a up", "b up", "c up", "stopping 3 processes in order (Ctrl-C again: at once)", "c stopped", "b stopped",
                                     "a stopped"}));
}

TEST_CASE("a second Ctrl-C ends all at once") {
  const Scratch scratch;
  Terminal terminal(scratch.file(process("a", "idler", "args = { deaf = true }\nstop_timeout = \"infinity\"")));
  REQUIRE(terminal.wait_for("a up"));
  terminal.type("\x03");
  REQUIRE(terminal.wait_for("a deaf"));
  terminal.type("\x03");
  CHECK(terminal.end() == -SIGINT);
  CHECK(in_order(terminal.output(), {"stopping 1 process in order", "a deaf", "stopping at once"}));
}

TEST_CASE("one that does not stop is killed when its time is up") {
  const Scratch scratch;
  Terminal terminal(scratch.file(process("a", "idler") + process("b", "idler", "args = { deaf = true }\nstop_timeout = \"200ms\"")));
  REQUIRE(terminal.wait_for("b up"));
  terminal.type("\x03");
  CHECK(terminal.end() == -SIGINT);
  CHECK(in_order(terminal.output(), {"b deaf", "a stopped"}));
}

TEST_CASE("signals stop in order, too") {
  const int number = GENERATE(SIGTERM, SIGHUP, SIGINT);
  const Scratch scratch;
  Terminal terminal(scratch.file(three_idlers()));
  REQUIRE(terminal.wait_for("c up"));
  terminal.signal(number);
  CHECK(terminal.end() == -number);
  INFO(terminal.output());
  CHECK(in_order(terminal.output(), {"c stopped", "b stopped", "a stopped"}));
}

TEST_CASE("a signal to the whole group restarts nobody who obeys it sooner than root") {
  const Scratch scratch;
  Terminal terminal(scratch.file(three_idlers()));
  REQUIRE(terminal.wait_for("c up"));
  terminal.signal_group(SIGTERM);
  CHECK(terminal.end() == -SIGTERM);
  INFO(terminal.output());
  CHECK(terminal.output().find("restart") == std::string::npos);
  CHECK(in_order(terminal.output(), {"stopping 3 processes in order"}));
}

TEST_CASE("a run can be stopped while a child is in its back-off") {
  const Scratch scratch;
  Terminal terminal(scratch.file("[supervisor]\nmax_restarts = 9\nbackoff = { min = \"1m\", max = \"1m\" }\n" + process("a", "idler") +
                                 process("bad", "crasher", "args = { how = \"exit\" }")));
  REQUIRE(terminal.wait_for("restart 2 in "));
  terminal.type("\x03");
  CHECK(terminal.end() == -SIGINT);
  CHECK(terminal.wait_for("a stopped"));
}

TEST_CASE("closing the terminal stops the run") {
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
