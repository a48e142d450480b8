#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <string>
#include <thread>

#include <troupe/errors.h>

#include "os/epoll.h"
#include "os/pidfd.h"
#include "os/proc.h"
#include "process/client.h"
#include "support/catch.h"

using troupe::Death;
using namespace std::chrono_literals;
namespace os = troupe::os;
namespace process = troupe::process;

extern std::size_t descriptors_at_start;  // main.cpp

namespace {

process::Client& client() { return *process::Client::here(); }

std::vector<std::byte> bytes(std::string_view text) {
  const auto* data = reinterpret_cast<const std::byte*>(text.data());
  return {data, data + text.size()};
}

std::string text(std::span<const std::byte> from) { return {reinterpret_cast<const char*>(from.data()), from.size()}; }

// A pipe that children inherit no end of: they open it by /proc of this process.
struct Pipe {
  os::Descriptor read_end, write_end;
  Pipe() {
    int fds[2];
    REQUIRE(::pipe2(fds, O_CLOEXEC) == 0);
    read_end = os::Descriptor(fds[0]);
    write_end = os::Descriptor(fds[1]);
  }
  [[nodiscard]] std::string path() const { return "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(write_end.get()); }
  std::string read(std::size_t size) const {
    std::string all(size, 0);
    std::size_t got = 0;
    while (got < size) {
      const auto more = ::read(read_end.get(), all.data() + got, size - got);
      if (more <= 0) break;
      got += static_cast<std::size_t>(more);
    }
    all.resize(got);
    return all;
  }
};

void say(const std::string& path, const std::string& what) {
  const os::Descriptor pipe(::open(path.c_str(), O_WRONLY));
  if (::write(pipe.get(), what.data(), what.size()) < 0) std::abort();
}

int return_size(std::span<const std::byte> arguments) { return static_cast<int>(arguments.size() % 200); }
int fail(std::span<const std::byte>) { throw std::runtime_error("on purpose"); }
int crash(std::span<const std::byte>) {
  ::signal(SIGSEGV, SIG_DFL);  // a sanitizer would explain it
  ::raise(SIGSEGV);
  return 0;
}
int sleep_on(std::span<const std::byte>) {
  while (true) ::pause();
}
int ignore_term(std::span<const std::byte> path) {
  ::signal(SIGTERM, SIG_IGN);
  say(text(path), "!");
  while (true) ::pause();
}
int stop_self(std::span<const std::byte> path) {
  say(text(path), "!");
  ::raise(SIGSTOP);
  return 5;
}

// What a child finds around it, told in one line.
int look_around(std::span<const std::byte> path) {
  std::string line;
  rlimit files;
  ::getrlimit(RLIMIT_NOFILE, &files);
  sigset_t blocked;
  ::sigprocmask(SIG_BLOCK, nullptr, &blocked);
  struct sigaction interrupt;
  ::sigaction(SIGINT, nullptr, &interrupt);
  char c;
  line += "files " + std::to_string(files.rlim_cur);
  line += " chld " + std::to_string(sigismember(&blocked, SIGCHLD)) + " term " + std::to_string(sigismember(&blocked, SIGTERM));
  line += interrupt.sa_handler == SIG_IGN ? " int ignored" : " int kept";
  line += " stdin " + std::to_string(::read(0, &c, 1));
  line += " fds " + std::to_string(os::open_descriptors().size());
  line += std::string(" env ") + (std::getenv("TROUPE_TEST") ? std::getenv("TROUPE_TEST") : "-");
  char name[16];
  ::prctl(PR_GET_NAME, name);
  line += std::string(" name ") + name;
  say(text(path), line + "\n");
  return 0;
}

int fork_and_end(std::span<const std::byte> path) {
  sigset_t go;
  ::sigemptyset(&go);
  ::sigaddset(&go, SIGUSR1);
  ::sigprocmask(SIG_BLOCK, &go, nullptr);
  if (::fork() == 0) {
    ::setsid();
    if (::fork() == 0) {
      say(text(path), std::to_string(::getpid()) + "\n");
      while (true) ::pause();
    }
    while (true) ::pause();
  }
  // Until the grandchild is there, we are.
  int signal;
  return ::sigwait(&go, &signal);
}

int start_sleeper_and_crash(std::span<const std::byte> path) {
  const auto id = client().start({.entry = &sleep_on, .name = "orphan"});
  say(text(path), std::to_string(client().pid(id)) + "\n");
  ::raise(SIGKILL);
  return 0;
}

int run_in_turn(std::span<const std::byte>) {
  const auto id = client().start({.entry = &return_size, .arguments = bytes("1234567")});
  return client().join(id)->code;
}

int use_client_in_fork(std::span<const std::byte>) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    try {
      client().start({.entry = &sleep_on});
    } catch (const std::logic_error&) {
      ::_exit(7);
    }
    ::_exit(1);
  }
  siginfo_t info;
  return ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED) == 0 ? info.si_status : 1;
}

Death run(process::Entry entry, std::vector<std::byte> arguments = {}) {
  const auto id = client().start({.entry = entry, .arguments = std::move(arguments), .name = "test"});
  const auto death = client().join(id);
  client().forget(id);
  return death.value();
}

void wait_for_end_of(pid_t pid) {
  try {
    const auto pidfd = os::open_pidfd(pid);
    CHECK(os::wait_for(pidfd.get(), POLLIN, troupe::Clock::now() + 10s));
  } catch (const troupe::SystemError&) {  // ended already
  }
}

}  // namespace

TEST_CASE("a process returns its exit code, throws, crashes") {
  CHECK(run(&return_size, bytes("abc")) == Death{Death::Cause::exited, 3, ""});
  CHECK(run(&fail) == Death{Death::Cause::exited, 1, "uncaught exception: on purpose"});
  CHECK(run(&crash) == Death{Death::Cause::signalled, SIGSEGV, ""});
}

TEST_CASE("arguments may be large") {
  CHECK(run(&return_size, std::vector<std::byte>(10'000'123)).code == 123);
  CHECK(run(&return_size, std::vector<std::byte>(95'000)).code == 0);
}

TEST_CASE("a child finds things as they were when the tree began") {
  Pipe pipe;
  rlimit files;
  ::getrlimit(RLIMIT_NOFILE, &files);
  const auto id = client().start(
      {.entry = &look_around, .arguments = bytes(pipe.path()), .name = "around", .environment = {{"TROUPE_TEST", "yes"}}});
  CHECK(client().join(id)->code == 0);
  pipe.write_end.reset();
  // Descriptors: what Program found and its socket; nothing of root's.
  CHECK(pipe.read(1000) == "files " + std::to_string(files.rlim_cur) + " chld 0 term 0 int ignored stdin 0 fds " +
                               std::to_string(descriptors_at_start + 1) + " env yes name around\n");
}

TEST_CASE("joining with a time-out leaves in time; joining what nobody started is an error") {
  const auto id = client().start({.entry = &sleep_on});
  CHECK_FALSE(client().join(id, 1ms));
  CHECK_FALSE(client().death(id));
  client().kill(id);
  CHECK(client().join(id) == Death{Death::Cause::signalled, SIGKILL, ""});
  CHECK(client().join(id)->code == SIGKILL);
  client().forget(id);
  CHECK_THROWS_AS(client().join(id), std::invalid_argument);
  CHECK_THROWS_AS(client().join(process::make_id(77, 1)), std::invalid_argument);
}

TEST_CASE("stop is SIGTERM, then SIGKILL") {
  auto id = client().start({.entry = &sleep_on});
  client().stop(id);
  CHECK(client().join(id) == Death{Death::Cause::stopped, -SIGTERM, ""});

  Pipe pipe;
  id = client().start({.entry = &ignore_term, .arguments = bytes(pipe.path()), .stop_timeout = 20ms});
  CHECK(pipe.read(1) == "!");
  client().stop(id);
  const auto death = client().join(id);
  CHECK(death->cause == Death::Cause::stopped);
  CHECK(death->code == -SIGKILL);
}

TEST_CASE("a stopped (SIGSTOP) process can be stopped and killed") {
  for (const bool kill : {false, true}) {
    Pipe pipe;
    const auto id = client().start({.entry = &stop_self, .arguments = bytes(pipe.path())});
    CHECK(pipe.read(1) == "!");
    kill ? client().kill(id) : client().stop(id);
    CHECK_FALSE(client().join(id)->code == 5);
  }
}

TEST_CASE("a child that is not ready in time is ended, one that is goes on") {
  const auto late = client().start({.entry = &sleep_on, .start_timeout = 10ms});
  CHECK(client().join(late)->cause == Death::Cause::not_ready);
  const auto ready = client().start({.entry = [](std::span<const std::byte>) {
                                       client().ready();
                                       std::this_thread::sleep_for(3s);  // its life is longer than the time it had to be ready
                                       return 4;
                                     },
                                     .start_timeout = 2s});
  CHECK(client().join(ready)->code == 4);
}

TEST_CASE("processes that user code forked end with the process that did") {
  for (const bool kill : {false, true}) {
    Pipe pipe;
    const auto id = client().start({.entry = &fork_and_end, .arguments = bytes(pipe.path())});
    std::string line;
    while (line.empty() || line.back() != '\n') line += pipe.read(1);
    const pid_t grandchild = std::stoi(line);
    kill ? client().kill(id) : client().signal(id, SIGUSR1);
    client().join(id);
    wait_for_end_of(grandchild);
  }
}

TEST_CASE("an orphan that ends by itself is reaped, though its forefather lives") {
  Pipe pipe;
  const auto id = client().start({.entry = [](std::span<const std::byte> path) {
                                    if (::fork() == 0) {
                                      if (::fork() == 0) {
                                        say(text(path), std::to_string(::getpid()) + "\n");
                                        ::_exit(0);
                                      }
                                      ::_exit(0);
                                    }
                                    siginfo_t info;
                                    ::waitid(P_ALL, 0, &info, WEXITED);
                                    return sleep_on({});
                                  },
                                  .arguments = bytes(pipe.path())});
  std::string line;
  while (line.empty() || line.back() != '\n') line += pipe.read(1);
  const pid_t orphan = std::stoi(line);
  const auto deadline = troupe::Clock::now() + 10s;
  while (::kill(orphan, 0) == 0 && troupe::Clock::now() < deadline) std::this_thread::yield();  // a zombie is there still
  CHECK(::kill(orphan, 0) < 0);
  client().kill(id);
  client().join(id);
}

TEST_CASE("an orphan lives as long as its forefather, whoever else ends") {
  Pipe pipe;
  const auto id = client().start({.entry = [](std::span<const std::byte> path) {
                                    if (::fork() == 0) {
                                      if (::fork() == 0) {
                                        ::setsid();
                                        ::close_range(0, ~0u, 0);
                                        say(text(path), std::to_string(::getpid()) + "\n");
                                        ::execl("/bin/sleep", "sleep", "1000", nullptr);
                                      }
                                      ::_exit(0);
                                    }
                                    siginfo_t info;
                                    ::waitid(P_ALL, 0, &info, WEXITED);
                                    return sleep_on({});
                                  },
                                  .arguments = bytes(pipe.path())});
  std::string line;
  while (line.empty() || line.back() != '\n') line += pipe.read(1);
  const pid_t orphan = std::stoi(line);
  const auto pidfd = os::open_pidfd(orphan);
  for (int i = 0; i < 20; ++i) CHECK(run(&return_size, bytes("abc")).code == 3);
  CHECK(run(&crash).code == SIGSEGV);
  CHECK_FALSE(os::wait_for(pidfd.get(), POLLIN, troupe::Clock::now()));
  client().kill(id);
  client().join(id);
  CHECK(os::wait_for(pidfd.get(), POLLIN, troupe::Clock::now() + 10s));
}

TEST_CASE("what a process started ends with it, though it was killed") {
  Pipe pipe;
  const auto id = client().start({.entry = &start_sleeper_and_crash, .arguments = bytes(pipe.path())});
  std::string line;
  while (line.empty() || line.back() != '\n') line += pipe.read(1);
  client().join(id);
  wait_for_end_of(std::stoi(line));
}

TEST_CASE("children start children") { CHECK(run(&run_in_turn).code == 7); }

TEST_CASE("a fork made by the user cannot use the connection") { CHECK(run(&use_client_in_fork).code == 7); }

TEST_CASE("pids are known while a process lives and after") {
  const auto id = client().start({.entry = &sleep_on});
  const pid_t pid = client().pid(id);
  CHECK(::kill(pid, SIGKILL) == 0);
  client().join(id);
  CHECK(client().pid(id) == pid);
}

TEST_CASE("many threads start and join at once") {
  std::vector<std::thread> threads;
  std::atomic<int> sum = 0;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 20; ++i) sum += run(&return_size, bytes("x")).code;
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(sum == 160);
}

TEST_CASE("a thousand children, killed at any stage of their start") {
  std::vector<process::ProcessId> ids;
  for (int i = 0; i < 1000; ++i) ids.push_back(client().start({.entry = &sleep_on}));
  for (auto id : ids) client().kill(id);
  for (auto id : ids) CHECK(client().join(id)->code == SIGKILL);
  for (auto id : ids) client().forget(id);
}

TEST_CASE("more ends than a socket holds wait until they are read") {
  std::vector<process::ProcessId> ids;
  for (int i = 0; i < 3000; ++i) ids.push_back(client().start({.entry = &return_size, .arguments = bytes("abcd")}));
  for (auto id : ids) CHECK(client().join(id)->code == 4);
  for (auto id : ids) client().forget(id);
}
