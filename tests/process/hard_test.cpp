// Children that do their worst: each ends as it should, and the rest of the tree goes on meanwhile.

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "os/descriptor.h"
#include "os/proc.h"
#include "process/guard.h"
#include "process/last_lines.h"
#include "support/catch.h"
#include "support/child.h"
#include "support/command.h"
#include "support/leftovers.h"
#include "support/sanitizers.h"

using troupe::Death;
using troupe::process::LastLines;
using troupe::test::Child;
using namespace std::chrono_literals;
namespace os = troupe::os;
namespace process = troupe::process;

namespace {

process::Client& client() { return *process::Client::here(); }

int sleep_on(std::span<const std::byte>) {
  while (true) ::pause();
}
int return_three(std::span<const std::byte>) { return 3; }

Death end_of(const process::ChildSpec& spec) {
  const auto id = client().start(spec);
  const auto death = client().join(id).value();
  client().forget(id);
  return death;
}

// The tree goes on: somebody else comes and goes.
bool goes_on() { return end_of({.entry = &return_three}) == Death{Death::Cause::exited, 3}; }

// Runs `body` as main of a tree of its own whose standard error is `path`.
int in_tree_with_stderr(const char* path, const std::function<int()>& body) {
  return Child([&] {
           if (path) ::dup2(::open(path, O_RDWR | O_CLOEXEC), STDERR_FILENO);
           for (int signal : {SIGABRT, SIGTERM}) ::signal(signal, SIG_DFL);  // Catch has handlers, which are not for these
           static const process::Origin origin;
           const auto main = process::fork_tree(origin);
           return body();
         })
      .wait();
}

int print_100_mb(std::span<const std::byte>) {
  const std::string much(1 << 20, 'x');
  for (int i = 0; i < 100; ++i) {
    for (std::size_t done = 0; done < much.size();) {
      const auto size = ::write(STDERR_FILENO, much.data() + done, much.size() - done);
      if (size < 0) return 1;
      done += static_cast<std::size_t>(size);
    }
  }
  return 4;
}

int say_three_lines(std::span<const std::byte>) {
  std::fprintf(stderr, "one\ntwo\n\tthree");
  return 2;
}

int close_everything(std::span<const std::byte>) {
  ::close_range(0, ~0u, 0);
  return 5;
}

struct ExitsAtExit {
  ~ExitsAtExit() { std::exit(7); }  // NOLINT: just what nobody should do
};
int exit_in_destructor(std::span<const std::byte>) {
  static const ExitsAtExit last;
  return 6;
}

int use_up_descriptors(std::span<const std::byte>) {
  while (::dup(0) >= 0) {
  }
  return goes_on() ? 8 : 9;
}

}  // namespace

TEST_CASE("the last lines are kept, whatever is printed") {
  LastLines last;
  CHECK(last.lines().empty());
  const std::string text = "one\ntwo\n\x1b[31mthree";
  last.add(text);
  CHECK(last.lines() == std::vector<std::string>{"one", "two", "?[31mthree"});
  for (int i = 0; i < 1000; ++i) last.add(std::string("line\n"));
  CHECK(last.lines().size() == LastLines::kLinesMax);
  last.add(std::string(100'000, 'x'));
  REQUIRE(last.lines().size() == 1);
  CHECK(last.lines().front().size() == LastLines::kBytesMax);
}

TEST_CASE("a death has the last lines of standard error, which were passed on as well") {
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  const os::Descriptor reader(ends[0]);
  os::Descriptor writer(ends[1]);
  const std::string path = "/proc/self/fd/" + std::to_string(writer.get());
  CHECK(in_tree_with_stderr(path.c_str(), [] {
          const Death death = end_of({.entry = &say_three_lines, .keep_stderr = true});
          return death.code == 2 && death.last_lines == std::vector<std::string>{"one", "two", "?three"} ? 10 : 11;
        }) == 10);
  writer.reset();
  std::array<char, 100> text;
  CHECK(std::string(text.data(), static_cast<std::size_t>(::read(reader.get(), text.data(), text.size()))) ==
        "one\ntwo\n\tthree");
}

TEST_CASE("100 MB on one line, to nobody, or to a full disk, are no trouble") {
  for (const char* path : {"/dev/null", "/dev/full"}) {
    CHECK(in_tree_with_stderr(path, [] {
            const auto id = client().start({.entry = &print_100_mb, .keep_stderr = true});
            const bool meanwhile = goes_on();
            const Death death = client().join(id).value();
            const bool small = death.last_lines.size() == 1 && death.last_lines.front().size() == LastLines::kBytesMax;
            return meanwhile && death.code == 4 && small ? 10 : 11;
          }) == 10);
  }
}

TEST_CASE("whoever prints to a pipe that nobody reads waits, and nobody else") {
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  const os::Descriptor reader(ends[0]);
  const os::Descriptor writer(ends[1]);
  const std::string path = "/proc/self/fd/" + std::to_string(writer.get());
  CHECK(in_tree_with_stderr(path.c_str(), [] {
          const auto one = client().start({.entry = &print_100_mb, .keep_stderr = true});
          const auto two = client().start({.entry = &print_100_mb, .keep_stderr = true});
          const bool meanwhile = goes_on() && !client().death(one) && !client().death(two);
          client().kill(one);
          client().stop(two);
          return meanwhile && client().join(one)->code == SIGKILL && client().join(two)->cause == Death::Cause::stopped ? 10
                                                                                                                        : 11;
        }) == 10);
}

TEST_CASE("children that close everything, or exit while they exit, end as they say") {
  const troupe::test::Leftovers leftovers;
  CHECK(end_of({.entry = &close_everything}).code == 5);
  CHECK(end_of({.entry = &exit_in_destructor}).code == 7);
  CHECK(goes_on());
}

TEST_CASE("a child without a descriptor to spare starts and joins others") {
  if (troupe::test::kSanitized) return;  // they need descriptors themselves, and who has threads does to wait
  const troupe::test::Leftovers leftovers;
  CHECK(end_of({.entry = &use_up_descriptors, .limits = {.open_files = 100}}).code == 8);
}

TEST_CASE("a child that cannot be forked is one that failed to start") {
  Child guard([] {
    static const process::Origin origin;
    const rlimit few{12, 12};
    ::setrlimit(RLIMIT_NPROC, &few);
    // The limit is the user's, and does not bind the administrator: somebody who has no other process, as far as we know.
    const auto user = static_cast<uid_t>(20'000 + ::getpid() % 40'000);
    if (::getuid() == 0 && ::setresuid(user, user, user) != 0) return 1;
    const auto main = process::fork_tree(origin);
    std::vector<process::ProcessId> ids;
    for (int i = 0; i < 20; ++i) ids.push_back(main->start({.entry = &sleep_on}));
    main->pid(ids.back());
    int refused = 0;
    for (auto id : ids) {
      const auto death = main->death(id);
      if (death && death->describe().starts_with("failed to start: fork (see ulimit -u"))
        ++refused;
      else
        main->kill(id);
    }
    for (auto id : ids) main->join(id);
    return refused > 0 && refused < 20 && goes_on() ? 0 : 2;
  });
  CHECK(guard.wait() == 0);
}

// Run in a container of its own by the test below.
TEST_CASE("as the first process of a container", "[.first]") {
  const pid_t root = ::getppid();
  REQUIRE(troupe::os::children_of(1) == std::vector<pid_t>{root});
  CHECK(goes_on());
  // An orphan of the container, not of the tree: nobody but guard can reap it.
  CHECK(end_of({.entry = [](std::span<const std::byte>) {
          if (::fork() == 0) return ::fork() == 0 ? sleep_on({}) : 0;
          return 3;
        }}).code == 3);
  CHECK(::kill(1, SIGTERM) == 0);
  while (true) ::pause();
}

TEST_CASE("a tree runs as the first process of a container, and ends by a signal to that") {
  if (!troupe::test::shell("/usr/bin/unshare -pf --mount-proc true 2>&1 || echo no").empty()) {
    WARN("not permitted to make a container here");
    return;
  }
  std::array<char, 4096> path{};
  REQUIRE(::readlink("/proc/self/exe", path.data(), path.size() - 1) > 0);
  troupe::test::Command command({"/usr/bin/unshare", "-pf", "--mount-proc", path.data(), "[first]", "-o", "/dev/null"});
  const auto result = command.wait();
  CHECK(result.exit_code == 128 + SIGTERM);  // the kernel lets the first process of a container die of no signal of its own
}
