// What Python's Process does besides running a function: classes, daemons, sentinels, parents and children.

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <csignal>
#include <stdexcept>
#include <string>
#include <vector>

#include <troupe/process.h>
#include <troupe/program.h>

#include "os/descriptor.h"
#include "os/epoll.h"
#include "os/pidfd.h"
#include "support/catch.h"
#include "support/leftovers.h"

using namespace std::chrono_literals;
using troupe::Death;
using troupe::Process;
using troupe::ProcessOptions;
namespace os = troupe::os;

namespace {

void nothing() {}
void sleep_on() {
  while (true) ::pause();
}

class Adder : public Process {
 public:
  Adder(int a, const std::string& text) : Process(this, a, text), a_(a), text_(text) {}
  Adder(const std::string& text, ProcessOptions options) : Process(this, text, std::move(options)), text_(text) {}
  explicit Adder(const std::string& text) : Process(this, text), text_(text) {}
  void run() override { std::exit(a_ + static_cast<int>(text_.size())); }

 private:
  int a_ = 0;
  std::string text_;
};

class Named : public Process {
 public:
  explicit Named(int value) : Process(this, value), value_(value) {}
  void run() override {
    const bool right = name() == "somebody" && pid() == ::getpid() && is_alive() && !exitcode() && daemon();
    std::exit(right ? value_ : 1);
  }

 private:
  int value_;
};

class Forgetful : public Adder {  // does not say itself what it is
 public:
  explicit Forgetful(const std::string& text) : Adder(text) {}
  void run() override {}
};

int run(Process& process) {
  process.start();
  process.join();
  return process.exitcode().value();
}
int run(Process&& process) { return run(process); }

// A pipe that processes find by its path; its reader sees the end when nobody holds it any more.
struct Line {
  os::Descriptor reader, writer;
  Line() {
    int fds[2];
    if (::pipe2(fds, O_CLOEXEC) != 0) std::abort();
    reader = os::Descriptor(fds[0]);
    writer = os::Descriptor(fds[1]);
  }
  std::string path() const { return "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(writer.get()); }
  char read() const {
    char c = 0;
    return ::read(reader.get(), &c, 1) == 1 ? c : '\0';
  }
};

// Holds the pipe open from now on.
void hold(const std::string& path, char c) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (::write(fd, &c, 1) != 1) std::abort();
}

}  // namespace

TEST_CASE("a subclass runs its run() in a process of its own, made from the same arguments") {
  const troupe::test::Leftovers leftovers;
  CHECK(run(Adder(3, "four")) == 7);
  CHECK(run(Adder("abc")) == 3);
  Adder named("abcd", {.name = "adder"});
  CHECK(named.name() == "adder");
  CHECK(run(named) == 4);
  Process moved = Adder("ab");
  CHECK(run(moved) == 2);
}

TEST_CASE("in run() a subclass is the process itself") {
  Named process(9);
  process.set_name("somebody");
  process.set_daemon(true);
  CHECK(run(process) == 9);
  CHECK_THROWS_AS(process.set_name("else"), std::logic_error);
}

TEST_CASE("a subclass of a subclass must say what it is") {
  Forgetful process("x");
  CHECK_THROWS_AS(process.start(), std::logic_error);
}

TEST_CASE("run() runs here when it is called here") {
  Line line;
  Process process(hold, line.path(), '!');
  process.run();
  CHECK(line.read() == '!');
}

TEST_CASE("closing") {
  Process process(sleep_on);
  process.start();
  CHECK_THROWS_AS(process.close(), std::logic_error);
  process.kill();
  process.join();
  process.close();
  CHECK_THROWS_AS(process.is_alive(), std::logic_error);
  CHECK_THROWS_AS(process.join(), std::logic_error);
  CHECK_THROWS_AS(process.name(), std::logic_error);
}

TEST_CASE("a sentinel is readable when the process has ended, and then there is an exit code") {
  const troupe::test::Leftovers leftovers;
  for (int i = 0; i < 50; ++i) {
    Process process([] { return 3; });
    process.start();
    const int sentinel = process.sentinel();
    CHECK(process.sentinel() == sentinel);
    CHECK(os::wait_for(sentinel, POLLIN, troupe::Clock::now() + 10s));
    CHECK(process.exitcode() == 3);
    CHECK_FALSE(process.is_alive());
  }
  Process late(nothing);
  CHECK_THROWS_AS(late.sentinel(), std::logic_error);
  late.start();
  late.join();
  CHECK(os::wait_for(late.sentinel(), POLLIN, troupe::Clock::now()));
}

TEST_CASE("children that live are listed, also those whose Process is gone") {
  const troupe::test::Leftovers leftovers;
  CHECK(troupe::active_children().empty());
  Process one(sleep_on, ProcessOptions{.name = "one"});
  one.start();
  Process(sleep_on, ProcessOptions{.name = "two", .daemon = true}).start();
  auto children = troupe::active_children();
  REQUIRE(children.size() == 2);
  CHECK(children[0].name() == "one");
  CHECK(children[0].pid() == one.pid());
  CHECK(children[1].daemon());
  for (auto& child : children) child.terminate();
  for (auto& child : children) child.join();
  CHECK(children[1].exitcode() == -SIGTERM);
  CHECK(one.exitcode() == -SIGTERM);
  CHECK(troupe::active_children().empty());
}

TEST_CASE("a process knows who started it") {
  CHECK_FALSE(troupe::parent_process());
  CHECK(run(Process(
            [](int main_pid) {
              const auto mine = troupe::parent_process();
              Process child(
                  [](int pid) {
                    const auto parent = troupe::parent_process();
                    return parent->name == "middle" && parent->pid == pid ? 1 : 0;
                  },
                  ::getpid());
              child.start();
              child.join();
              return mine->name == "MainProcess" && mine->pid == main_pid && child.exitcode() == 1 ? 5 : 6;
            },
            static_cast<int>(::getpid()), ProcessOptions{.name = "middle"})) == 5);
}

TEST_CASE("a daemon has no children, and its children would be daemons") {
  CHECK_FALSE(troupe::current_process().daemon);
  CHECK(run(Process(
            [] {
              Process child(nothing);
              try {
                child.start();
              } catch (const std::logic_error&) {
                return troupe::current_process().daemon && child.daemon() ? 5 : 6;
              }
              return 7;
            },
            ProcessOptions{.daemon = true})) == 5);
}

TEST_CASE("at its end a process stops its daemons and waits for the others") {
  for (const bool by_exit : {false, true}) {
    Line line;
    Process parent(
        [](bool exits, const std::string& path) {
          Line there;
          Process daemon(
              [](const std::string& starter) {
                hold(starter, '.');
                sleep_on();
              },
              there.path(), ProcessOptions{.daemon = true});
          daemon.start();
          there.read();
          Process other(
              [](const std::string& starter, const std::string& reader, int daemon_pid) {
                const auto pidfd = os::open_pidfd(daemon_pid);
                hold(starter, '.');
                hold(reader, os::wait_for(pidfd.get(), POLLIN, troupe::Clock::now() + 10s) ? 'y' : 'n');
              },
              there.path(), path, daemon.pid().value());
          other.start();
          there.read();
          if (exits) std::exit(4);
          return 4;
        },
        by_exit, line.path());
    parent.start();
    parent.join();
    CHECK(parent.exitcode() == 4);
    line.writer.reset();
    CHECK(line.read() == 'y');
    CHECK(line.read() == '\0');
  }
}

TEST_CASE("who waits long at its end says for whom") {
  Line said, gate;
  Process parent(
      [](const std::string& errors, const std::string& closed) {
        ::dup2(::open(errors.c_str(), O_WRONLY | O_CLOEXEC), STDERR_FILENO);
        Process child(
            [](const std::string& path) {
              char c;
              if (::read(::open(path.c_str(), O_RDONLY | O_CLOEXEC), &c, 1) != 1) std::abort();
            },
            closed, ProcessOptions{.name = "patient"});
        child.start();
      },
      said.path(), "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(gate.reader.get()),
      ProcessOptions{.name = "parent"});
  parent.start();
  std::string text;
  while (!text.ends_with('\n')) text += said.read();
  CHECK(text == "parent has returned; waiting for `patient`\n");
  REQUIRE(::write(gate.writer.get(), "!", 1) == 1);
  parent.join();
  CHECK(parent.exitcode() == 0);
}

TEST_CASE("a Process that was moved from says so, whatever is asked of it") {
  Process one(nothing);
  Process other = std::move(one);
  // NOLINTBEGIN(bugprone-use-after-move): that is the test
  CHECK_THROWS_WITH(one.start(), "this Process is closed, or was moved from");
  CHECK_THROWS_AS(one.join(), std::logic_error);
  CHECK_THROWS_AS(one.join(1ms), std::logic_error);
  CHECK_THROWS_AS(one.run(), std::logic_error);
  CHECK_THROWS_AS(one.is_alive(), std::logic_error);
  CHECK_THROWS_AS(one.terminate(), std::logic_error);
  CHECK_THROWS_AS(one.kill(), std::logic_error);
  CHECK_THROWS_AS(one.close(), std::logic_error);
  CHECK_THROWS_AS(one.name(), std::logic_error);
  CHECK_THROWS_AS(one.pid(), std::logic_error);
  CHECK_THROWS_AS(one.exitcode(), std::logic_error);
  CHECK_THROWS_AS(one.sentinel(), std::logic_error);
  // NOLINTEND(bugprone-use-after-move)
  CHECK(run(other) == 0);
}

TEST_CASE("children of all kinds end with a parent that was killed") {
  for (const bool daemon : {false, true}) {
    Line line;
    Process parent(
        [](bool as_daemon, const std::string& path) {
          Process child(
              [](const std::string& there) {
                hold(there, '!');
                ::signal(SIGTERM, SIG_IGN);
                sleep_on();
              },
              path, ProcessOptions{.stop_timeout = 10ms, .daemon = as_daemon});
          child.start();
          sleep_on();
        },
        daemon, line.path());
    parent.start();
    CHECK(line.read() == '!');
    parent.kill();
    parent.join();
    line.writer.reset();
    CHECK(line.read() == '\0');
  }
}

TEST_CASE("terminate and kill reach what the child forked and executed") {
  for (const bool kill : {false, true}) {
    Line line;
    Process parent(
        [](const std::string& path) {
          for (const bool exec : {false, true}) {
            if (::fork() != 0) continue;
            ::setsid();
            ::signal(SIGTERM, SIG_IGN);
            hold(path, '!');
            const int fd = ::open(path.c_str(), O_WRONLY);  // survives exec
            if (exec) ::execl("/bin/sleep", "sleep", "1000", nullptr);
            (void)fd;
            sleep_on();
          }
          sleep_on();
        },
        line.path());
    parent.start();
    CHECK(line.read() == '!');
    CHECK(line.read() == '!');
    kill ? parent.kill() : parent.terminate();
    parent.join();
    line.writer.reset();
    CHECK(line.read() == '\0');
  }
}

TEST_CASE("CPUs are counted") {
  CHECK(troupe::cpu_count() >= 1);
  CHECK(troupe::cpu_count() <= ::sysconf(_SC_NPROCESSORS_ONLN));
}
