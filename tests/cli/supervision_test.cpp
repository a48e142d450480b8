// What a topology file says of supervision, in real trees.

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <fstream>
#include <string>
#include <vector>

#include "os/epoll.h"
#include "os/pidfd.h"
#include "os/proc.h"
#include "scratch.h"
#include "support/catch.h"
#include "support/command.h"
#include "support/terminal.h"

using namespace troupe::test;

namespace {

std::vector<std::string> run(const std::string& file) { return {TROUPE_COMMAND, "run", file}; }

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t n = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

std::string supervisor(const std::string& more) { return "[[supervisor]]\n" + more; }

bool in_order(const std::string& text, const std::vector<std::string>& parts) {
  std::size_t at = 0;
  for (const auto& part : parts) {
    at = text.find(part, at);
    if (at == std::string::npos) return false;
    at += part.size();
  }
  return true;
}

// The process of that name in a run.
pid_t process_of(const Terminal& terminal, const std::string& name) {
  for (const pid_t pid : troupe::os::descendants_of(terminal.job())) {
    std::string comm;
    std::getline(std::ifstream("/proc/" + std::to_string(pid) + "/comm"), comm);
    if (comm == name) return pid;
  }
  return -1;
}

void kill_process(const Terminal& terminal, const std::string& name) {
  const pid_t pid = process_of(terminal, name);
  REQUIRE(pid > 0);
  REQUIRE(::kill(pid, SIGKILL) == 0);
}

}  // namespace

TEST_CASE("a significant process that has done its work ends the topology well") {
  const Scratch scratch;
  const auto result = Command(run(scratch.file(supervisor("auto_shutdown = \"any_significant\"\n") + process("idle", "idler") +
                                               process("job", "crasher", "args = { how = \"succeed\" }\nrestart = \"transient\"\nsignificant = true"))))
                          .wait();
  INFO(result.err);
  CHECK(result.exit_code == 0);
  CHECK(in_order(result.out, {"idle up", "idle stopped"}));
}

TEST_CASE("a significant supervisor ends the one above when all of its own are done") {
  const Scratch scratch;
  const auto job = [](const std::string& name) {
    return process(name, "crasher", "args = { how = \"succeed\" }\nrestart = \"transient\"\nsignificant = true\nunder = \"jobs\"");
  };
  const auto result = Command(run(scratch.file(supervisor("auto_shutdown = \"any_significant\"\n") + process("idle", "idler") +
                                               supervisor("name = \"jobs\"\nsignificant = true\nauto_shutdown = \"all_significant\"\n") + job("one") + job("two"))))
                          .wait();
  INFO(result.err);
  CHECK(result.exit_code == 0);
  CHECK(in_order(result.out, {"idle up", "idle stopped"}));
}

TEST_CASE("one_for_all in a nested supervisor takes its own down and up, and no others") {
  const Scratch scratch;
  Terminal terminal(run(scratch.file(supervisor("name = \"group\"\nstrategy = \"one_for_all\"\n") + process("a", "idler", "under = \"group\"") +
                                     process("b", "idler", "under = \"group\"") + process("c", "idler"))));
  REQUIRE(terminal.wait_for("c up"));
  kill_process(terminal, "b");
  REQUIRE(terminal.wait_for("b up", 2));
  terminal.type("\x03");
  CHECK(terminal.end() == -SIGINT);
  INFO(terminal.output());
  CHECK(in_order(terminal.output(), {"`group/b` killed by SIGKILL; restart 1 now", "a stopped", "a up", "b up", "c stopped", "b stopped", "a stopped"}));
  CHECK(count(terminal.output(), "c up") == 1);
}

TEST_CASE("rest_for_one takes down and up what comes after") {
  const Scratch scratch;
  Terminal terminal(run(scratch.file(supervisor("strategy = \"rest_for_one\"\n") + process("a", "idler") + process("b", "idler") + process("c", "idler"))));
  REQUIRE(terminal.wait_for("c up"));
  kill_process(terminal, "b");
  REQUIRE(terminal.wait_for("c up", 2));
  terminal.type("\x03");
  CHECK(terminal.end() == -SIGINT);
  INFO(terminal.output());
  CHECK(in_order(terminal.output(), {"`b` killed by SIGKILL; restart 1 now", "c stopped", "b up", "c up"}));
  CHECK(count(terminal.output(), "a up") == 1);
}

TEST_CASE("actors in one process are restarted there, and the process when that was too often") {
  const Scratch scratch;
  const auto actor = [](const std::string& name, const std::string& type, const std::string& more) {
    return "[[process]]\nname = \"" + name + "\"\nactor = \"" + type + "\"\nlibrary = \"" + library("test_misbehaving") + "\"\nunder = \"service\"\n" + more;
  };
  const auto result = Command(run(scratch.file(supervisor("max_restarts = 1\n") + supervisor("name = \"service\"\none_process = true\nmax_restarts = 2\n") +
                                               actor("idle", "idler", "") + actor("bad", "crasher", "args = { how = \"throw\" }\n"))))
                          .wait();
  INFO(result.err);
  INFO(result.out);
  CHECK(result.exit_code == 1);
  CHECK(count(result.out, "somebody up") == 2);       // once a process
  CHECK(count(result.out, "somebody stopped") == 2);
  CHECK(count(result.err, "service: `bad` threw an exception: no such luck; restart ") == 4);  // twice a process
  CHECK(count(result.err, "`service` exited with code 1: gave up on `bad`: threw an exception: no such luck; restart 1 now") == 1);
  CHECK(count(result.err, "gave up on `service`, which ended 2 times") == 1);
}

TEST_CASE("with keep_stderr a death tells what was printed last, else it is only printed") {
  const Scratch scratch;
  for (const bool kept : {false, true}) {
    const std::string more = kept ? "args = { how = \"exit\" }\nkeep_stderr = true" : "args = { how = \"exit\" }";
    const auto result = Command(run(scratch.file("[supervisor]\nmax_restarts = 1\n" + process("printer", "crasher", more)))).wait();
    INFO(result.err);
    CHECK(result.exit_code == 1);
    CHECK(count(result.err, "\n  last lines on standard error:\n  | no paper left\n") == (kept ? 2 : 0));  // of the restart, and of giving up
    CHECK(count(result.err, "no paper left\n") == (kept ? 4 : 2));
  }
}

TEST_CASE("what dies with guard is not restarted, however often that were allowed") {
  const Scratch scratch;
  Command command(run(scratch.file("[supervisor]\nmax_restarts = 1000000\nmax_seconds = \"1h\"\nbackoff = { min = \"0s\" }\n" + process("a", "idler") +
                                   process("b", "idler"))));
  while (command.processes("b").empty()) ::usleep(1000);  // nothing tells us
  const auto root = troupe::os::open_pidfd(troupe::os::children_of(command.pid()).at(0));
  command.signal(SIGKILL);
  REQUIRE(troupe::os::wait_for(root.get(), POLLIN, troupe::Clock::time_point::max()));
  const auto result = command.wait();
  INFO(result.err);
  CHECK(count(result.err, "restart") == 0);
}

TEST_CASE("of a crash people are told where it was, and which process that was") {
  const Scratch scratch;
  Terminal terminal(run(scratch.file("[supervisor]\nmax_restarts = 1\n" + process("bad", "crasher", "args = { how = \"abort\" }"))));
  CHECK(terminal.end() == 1);
  INFO(terminal.output());
  CHECK(in_order(terminal.output(), {"troupe: `bad` killed by SIGABRT; restart 1 now (it was pid ", ")\r\n  #0 ", " in libtest_misbehaving.so+0x",
                                     "gave up on `bad`, which ended 2 times within 5s, the last time: killed by SIGABRT\r\n", "  #0 ", " in libtest_misbehaving.so+0x"}));
}

TEST_CASE("giving up goes up through three levels, and the message names who began") {
  const Scratch scratch;
  const auto result = Command(run(scratch.file(supervisor("max_restarts = 0\n") + supervisor("name = \"outer\"\nmax_restarts = 0\n") +
                                               supervisor("name = \"inner\"\nunder = \"outer\"\nmax_restarts = 1\n") +
                                               process("bad", "crasher", "args = { how = \"exit\" }\nunder = \"inner\"") + process("idle", "idler"))))
                          .wait();
  INFO(result.err);
  CHECK(result.exit_code == 1);
  CHECK(count(result.err, "error: ") == 1);
  CHECK(count(result.err, "gave up on `outer/inner/bad`, which ended 2 times") == 1);
}
