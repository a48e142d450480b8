// Ctrl-C at a terminal reaches main and root once each, and no child.

#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <functional>
#include <iostream>
#include <string>

#include "os/descriptor.h"
#include "os/epoll.h"
#include "process/guard.h"
#include "support/catch.h"
#include "support/leftovers.h"

using namespace std::chrono_literals;
namespace os = troupe::os;
namespace process = troupe::process;

namespace {

// A program in the foreground of a terminal of its own.
struct Terminal {
  os::Descriptor master;
  pid_t guard = 0;

  explicit Terminal(const std::function<int()>& body) {
    std::cout << std::flush;
    std::fflush(nullptr);
    int fd = -1;
    guard = ::forkpty(&fd, nullptr, nullptr, nullptr);
    REQUIRE(guard >= 0);
    if (guard == 0) {
      ::signal(SIGINT, SIG_DFL);
      ::_exit(body());
    }
    master = os::Descriptor(fd);
  }

  void press(char key) const { REQUIRE(::write(master.get(), &key, 1) == 1); }

  // Reads until `text` has been printed.
  void expect(const std::string& text) const {
    std::string all;
    const auto deadline = troupe::Clock::now() + 20s;
    while (all.find(text) == std::string::npos) {
      INFO("so far: " << all);
      REQUIRE(os::wait_for(master.get(), 1 /* POLLIN */, deadline));
      char buffer[256];
      const auto size = ::read(master.get(), buffer, sizeof buffer);
      REQUIRE(size > 0);
      all.append(buffer, static_cast<std::size_t>(size));
    }
  }

  // The signal that it died of, or its exit code.
  [[nodiscard]] int end() const {
    siginfo_t info;
    REQUIRE(::waitid(P_PID, static_cast<id_t>(guard), &info, WEXITED) == 0);
    return info.si_code == CLD_EXITED ? info.si_status : -info.si_status;
  }
};

void print(const char* text) {
  if (::write(STDOUT_FILENO, text, std::char_traits<char>::length(text)) < 0) ::_exit(99);
}

int sleep_on(std::span<const std::byte>) {
  ::signal(SIGTERM, [](int) { ::_exit(0); });
  print("child up\n");
  while (true) ::pause();
}

int sleep_hard(std::span<const std::byte>) {
  ::signal(SIGTERM, SIG_IGN);
  print("child up\n");
  while (true) ::pause();
}

struct NoEvents final : process::ChildEvents {
  void ready(process::ProcessId) override {}
  void ended(process::ProcessId, const troupe::Death&) override {}
};

}  // namespace

TEST_CASE("Ctrl-C ends main, its children in order, and the command by SIGINT") {
  const troupe::test::Leftovers leftovers;
  const Terminal terminal([] {
    static const process::Origin origin;
    const auto main = process::fork_tree(origin);
    main->start({.entry = &sleep_on});
    while (true) ::pause();
    return 1;
  });
  terminal.expect("child up");
  terminal.press('\x03');
  CHECK(terminal.end() == -SIGINT);
}

TEST_CASE("main may make of Ctrl-C what it likes, and gets it once") {
  const troupe::test::Leftovers leftovers;
  const Terminal terminal([] {
    static const process::Origin origin;
    static volatile sig_atomic_t count = 0;
    const auto main = process::fork_tree(origin);
    ::signal(SIGINT, [](int) { count = count + 1; });
    const auto child = main->start({.entry = &sleep_on});
    while (count == 0) main->join(child, 10ms);
    main->stop(child);
    // The child did not get the terminal's signal: it ended by what it makes of SIGTERM.
    const auto death = main->join(child);
    return count == 1 && death->cause == troupe::Death::Cause::stopped ? 17 : 1;
  });
  terminal.expect("child up");
  terminal.press('\x03');
  CHECK(terminal.end() == 17);
}

TEST_CASE("a second Ctrl-C ends at once what does not end in order") {
  const troupe::test::Leftovers leftovers;
  const Terminal terminal([] {
    static const process::Origin origin;
    static NoEvents events;
    return process::run_root(origin, [](process::Root& root) {
      static int count = 0;
      root.on_signal([&root](int signal) {
        print("signal\n");
        if (++count == 1) root.end(1, signal);
        else root.end_now(1, signal);
      });
      root.start({.entry = &sleep_hard, .stop_timeout = 1h}, events);
    });
  });
  terminal.expect("child up");
  terminal.press('\x03');
  terminal.expect("signal");
  terminal.press('\x03');
  CHECK(terminal.end() == -SIGINT);
}
