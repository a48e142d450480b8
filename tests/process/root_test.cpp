// Root without main, as `troupe run` uses it, and how a tree ends.

#include "process/root.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <functional>
#include <stdexcept>

#include "os/epoll.h"
#include "os/proc.h"
#include "process/guard.h"
#include "support/catch.h"
#include "support/child.h"
#include "support/leftovers.h"
#include "support/sanitizers.h"

using namespace std::chrono_literals;
using troupe::Death;
using troupe::process::ChildEvents;
using troupe::process::ProcessId;
using troupe::process::Root;
using troupe::test::Child;
namespace process = troupe::process;

namespace {

struct Events final : ChildEvents {
  std::function<void(ProcessId)> on_ready = [](ProcessId) {};
  std::function<void(ProcessId, const Death&)> on_ended = [](ProcessId, const Death&) {};
  void ready(ProcessId child) override { on_ready(child); }
  void ended(ProcessId child, const Death& death) override { on_ended(child, death); }
};

int return_three(std::span<const std::byte>) { return 3; }
int sleep_on(std::span<const std::byte>) {
  while (true) ::pause();
}
int be_ready(std::span<const std::byte> none) {
  process::Client::here()->ready();
  return sleep_on(none);
}
int take_name(std::span<const std::byte>) {
  process::Client::here()->register_name("wanted", {0, 1, 2});
  return sleep_on({});
}

// Looks up a name; the exit code says what came.
int look_up(std::span<const std::byte>) {
  struct Answer final : process::ClientEvents {
    int code = 0;
    void offered(ProcessId, const troupe::transport::LinkOptions&, std::vector<troupe::os::Descriptor>) override {}
    void down(ProcessId, const Death&) override {}
    void found(std::uint64_t, const troupe::Address&, const troupe::transport::LinkOptions& options) override {
      code = options.ring_bytes == 4096 ? 10 : 11;
    }
    void not_found(std::uint64_t, const Death& why) override { code = why.code == 77 ? 20 : 21; }
  } answer;
  process::Client::here()->look_up(1, "wanted");
  while (answer.code == 0) {
    troupe::os::wait_for(process::Client::here()->descriptor(), 1, troupe::Clock::time_point::max());
    process::Client::here()->pump(answer);
  }
  return answer.code;
}

// Catch has some, which are not to speak for processes of the tests.
void forget_handlers() {
  for (int signal : {SIGABRT, SIGTERM}) ::signal(signal, SIG_DFL);
}

// Runs a root of its own that `configure` makes use of; how its command ended.
int run(const std::function<void(Root&, Events&)>& configure) {
  return Child([&] {
           forget_handlers();
           const process::Origin origin;
           static Events events;
           return process::run_root(origin, [&](Root& root) { configure(root, events); });
         })
      .wait();
}

// Runs a program whose main is `body`.
int run_main(const std::function<int()>& body, const std::function<void(pid_t)>& meanwhile = [](pid_t) {}) {
  Child guard([&] {
    static const process::Origin origin;
    forget_handlers();
    const auto main = process::fork_tree(origin);
    return body();
  });
  meanwhile(guard.pid());
  return guard.wait();
}

pid_t only_child(pid_t parent) {
  while (true) {
    const auto children = troupe::os::children_of(parent);
    if (!children.empty()) return children.front();
    ::usleep(100);  // asks again until it is there; nothing tells us
  }
}

}  // namespace

TEST_CASE("root ends with the code or the signal it is told to") {
  const troupe::test::Leftovers leftovers;
  CHECK(run([](Root& root, Events&) { root.end(4); }) == 4);
  CHECK(run([](Root& root, Events&) { root.end(1, SIGINT); }) == -SIGINT);
  CHECK(run([](Root& root, Events& events) {
          root.start({.entry = &return_three}, events);
          events.on_ended = [&root](ProcessId, const Death& death) { root.end(death.exitcode()); };
        }) == 3);
  CHECK(run([](Root&, Events&) { throw std::runtime_error("on purpose"); }) == 1);
}

TEST_CASE("children of root say that they are ready, and stop in order") {
  CHECK(run([](Root& root, Events& events) {
          events.on_ready = [&root](ProcessId child) { root.stop(child); };
          events.on_ended = [&root](ProcessId, const Death& death) { root.end(death == Death{Death::Cause::stopped, -15, ""} ? 7 : 8); };
          root.start({.entry = &be_ready, .start_timeout = 10s}, events);
        }) == 7);
  CHECK(run([](Root& root, Events& events) {
          events.on_ended = [&root](ProcessId, const Death& death) { root.end(death.cause == Death::Cause::not_ready ? 7 : 8); };
          root.start({.entry = &sleep_on, .start_timeout = 1ms}, events);
        }) == 7);
}

TEST_CASE("a declared name is waited for, also while its process is replaced, until it is withdrawn") {
  CHECK(run([](Root& root, Events& events) {
          root.declare("wanted", {.ring_bytes = 4096});
          const auto asker = root.start({.entry = &look_up}, events);
          const auto first = root.start({.entry = &return_three}, events);
          events.on_ended = [&root, &events, asker, first](ProcessId child, const Death& death) {
            if (child == first) root.start({.entry = &take_name}, events);
            if (child == asker) root.end(death.code);
          };
        }) == 10);
  CHECK(run([](Root& root, Events& events) {
          root.declare("wanted", {});
          const auto asker = root.start({.entry = &look_up}, events);
          events.on_ended = [&root, asker](ProcessId child, const Death& death) {
            if (child == asker) root.end(death.code);
          };
          root.call_at(troupe::Clock::now() + 5ms, [&root] { root.withdraw("wanted", {Death::Cause::exited, 77, ""}); });
        }) == 20);
}

TEST_CASE("whoever waits for a name hears when all is ending, and actors that are there are still found") {
  CHECK(run([](Root& root, Events& events) {
          root.declare("wanted", {});
          const auto asker = root.start({.entry = &look_up}, events);
          events.on_ended = [&root, asker](ProcessId child, const Death& death) {
            if (child == asker) root.end(death.code);
          };
          root.call_at(troupe::Clock::now() + 5ms, [&root] { root.withdraw_all({Death::Cause::exited, 77, ""}); });
        }) == 20);
  CHECK(run([](Root& root, Events& events) {
          root.declare("wanted", {});
          root.start({.entry = [](std::span<const std::byte> none) {
                        process::Client::here()->register_name("wanted", {0, 1, 2});
                        return be_ready(none);
                      }},
                     events);
          events.on_ready = [&](ProcessId) {
            root.withdraw_all({Death::Cause::exited, 77, ""});
            const auto asker = root.start({.entry = &look_up}, events);
            events.on_ended = [&root, asker](ProcessId child, const Death& death) {
              if (child == asker) root.end(death.code);
            };
          };
        }) == 11);
}

TEST_CASE("timers come in order and can be cancelled") {
  CHECK(run([](Root& root, Events&) {
          const auto now = troupe::Clock::now();
          root.call_at(now + 2ms, [&root] { root.end(5); });
          const auto never = root.call_at(now + 1ms, [&root] { root.end(6); });
          root.cancel(never);
        }) == 5);
}

TEST_CASE("a signal to guard reaches root once") {
  Child guard([] {
    const process::Origin origin;
    return process::run_root(origin, [](Root& root) {
      static int count = 0;
      root.on_signal([&root](int signal) {
        ++count;
        root.call_at(troupe::Clock::now() + 100ms, [&root, signal] { root.end(count == 1 ? 0 : 9, count == 1 ? signal : 0); });
      });
    });
  });
  const pid_t root = only_child(guard.pid());
  // As `timeout` does it: guard alone, then the whole group.
  guard.kill(SIGTERM);
  guard.kill(SIGTERM);
  ::kill(root, SIGTERM);
  CHECK(guard.wait() == -SIGTERM);
}

namespace {

[[gnu::noinline]] int loop_on(std::span<const std::byte>) {
  process::Client::here()->ready();
  while (true) asm volatile("");
}

}  // namespace

TEST_CASE("one that hangs is asked where it is, and killed") {
  if (troupe::test::kThreadSanitizer) return;  // it handles a signal at the next call that it knows, and there is none in a loop
  CHECK(run([](Root& root, Events& events) {
          events.on_ready = [&root](ProcessId child) { root.kill(child, {Death::Cause::hung, -SIGKILL, "no sign of life for 5 s"}); };
          events.on_ended = [&root](ProcessId, const Death& death) {
            const bool right = death.describe() == "hung: no sign of life for 5 s" && death.exitcode() == -SIGKILL &&
                               // It may still be saying that it is ready.
                               std::ranges::any_of(death.stack, [](const std::string& frame) { return frame.find("loop_on") != std::string::npos; });
            root.end(right ? 7 : 8);
          };
          root.start({.entry = &loop_on}, events);
        }) == 7);
}

TEST_CASE("the command ends as main does") {
  const troupe::test::Leftovers leftovers;
  CHECK(run_main([] { return 6; }) == 6);
  CHECK(run_main([]() -> int { std::abort(); }) == -SIGABRT);
  CHECK(run_main([]() -> int { ::_exit(8); }) == 8);
  // What main leaves behind is ended.
  CHECK(run_main([] {
          for (int i = 0; i < 10; ++i) process::Client::here()->start({.entry = &sleep_on});
          return 6;
        }) == 6);
}

TEST_CASE("a signal to guard reaches main") {
  CHECK(run_main([] { return sleep_on({}); }, [](pid_t guard) {
          const pid_t root = only_child(guard);
          only_child(root);
          ::kill(guard, SIGTERM);
        }) == -SIGTERM);
}
