// What a death tells: six kinds of end, each explained in one line, and where it was.

#include <troupe/process.h>

#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <troupe/actor_process.h>
#include <troupe/supervisor.h>

#include "os/control_group.h"
#include "program/test_supervisor.capnp.h"
#include "support/catch.h"
#include "support/leftovers.h"
#include "support/sanitizers.h"

using namespace std::chrono_literals;
using troupe::Death;
using troupe::Process;
using troupe::ProcessOptions;
using troupe::test::Ping;
using troupe::test::Pong;
using troupe::test::Report;
using troupe::test::Watch;

namespace {

// Sanitizers explain crashes themselves, and take more memory.
constexpr bool kPlain = !troupe::test::kSanitized;

void stay() { asm volatile(""); }  // a call before it is no tail call

[[gnu::noinline]] void touch(volatile int* nowhere) {
  *nowhere = 1;
  stay();
}
int* volatile nowhere_at_all = reinterpret_cast<int*>(0x10);
void use_null_pointer() { touch(nowhere_at_all); }

[[gnu::noinline]] void give_up() {
  std::abort();
  stay();
}

[[gnu::noinline]] void throw_deep(int depth) {
  if (depth == 0) throw std::runtime_error("no such file: x");
  throw_deep(depth - 1);
  stay();
}

[[gnu::noinline]] int recurse(volatile int* before) {
  volatile int here[1000] = {*before};
  return *before == 1 ? 1 : recurse(here) + here[1];
}

[[noreturn]] void sleep_on() {
  while (true) ::pause();
}

Death end_of(Process process) {
  process.start();
  process.join();
  return process.death().value();
}

// A handler of it aborts, or throws.
struct Crasher : troupe::Actor {
  explicit Crasher(troupe::Context& context) : Actor(context) {
    on<Ping, Pong>([](Ping::Reader ping, troupe::Responder<Pong>) {
      std::fputs("about to end\n", stderr);
      ping.getFail() ? throw_deep(2) : give_up();
    });
  }
};

// All that is known, in one string.
std::string all_of(const Death& death) {
  return death.report() + std::to_string(death.time.time_since_epoch().count()) + " " + std::to_string(death.code);
}

// Answers when somebody has ended: how that was.
struct Watcher : troupe::Actor {
  explicit Watcher(troupe::Context& context) : Actor(context) {
    on<Watch, Report>([this](Watch::Reader watch, troupe::Responder<Report> reply) {
      const troupe::Address whom = watch.getWhom();
      monitor(whom, [reply = std::move(reply)](const Death& death) mutable {
        reply.reply([&](Report::Builder report) { report.setText(all_of(death)); });
      });
    });
    on<Ping, Pong>([](Ping::Reader, Pong::Builder) {});
  }
};

Death death_by_ping(const troupe::Address& address, bool by_exception) {
  try {
    troupe::ask<Ping, Pong>(address, [&](Ping::Builder ping) { ping.setFail(by_exception); }).get(60s);
  } catch (const troupe::ActorDown& down) {
    return down.death();
  }
  FAIL("it cannot have answered");
  return {};
}

bool has(const Death& death, const std::string& function) {
  return std::ranges::any_of(death.stack, [&](const auto& frame) { return frame.find(function) != std::string::npos; });
}

void take_memory(std::size_t bytes) {
  std::vector<char> memory(bytes);
  for (std::size_t i = 0; i < memory.size(); i += 4096) memory[i] = 1;
  sleep_on();
}

}  // namespace

TEST_CASE("exit codes and uncaught exceptions explain themselves") {
  const troupe::test::Leftovers leftovers;
  CHECK(end_of(Process([] { std::exit(3); })).describe() == "exited with code 3");
  const Death death = end_of(Process(throw_deep, 3));
  CHECK(death.describe() == "exited with code 1: uncaught exception: no such file: x");
  INFO(death.report());
  REQUIRE(!death.stack.empty());
  CHECK(death.stack.front().find("throw_deep(int)") != std::string::npos);
  CHECK(std::chrono::system_clock::now() - death.time < 1min);
}

TEST_CASE("an exception that was caught leaves no stack") {
  CHECK(end_of(Process([] {
          try {
            throw_deep(1);
          } catch (const std::exception&) {
          }
          return 2;
        })).stack.empty());
}

TEST_CASE("crashes say where they were") {
  if (!kPlain) return;
  const troupe::test::Leftovers leftovers;
  Death death = end_of(Process(use_null_pointer));
  INFO(death.report());
  CHECK(death.describe() == "killed by SIGSEGV: at address 0x10");
  REQUIRE(!death.stack.empty());
  CHECK(death.stack.front().find("touch(int volatile*) in ") != std::string::npos);

  death = end_of(Process(give_up));
  INFO(death.report());
  CHECK(death.describe() == "killed by SIGABRT");
  CHECK(has(death, "give_up() in "));

  death = end_of(Process([] {
    volatile int first = 0;
    return recurse(&first);
  }));
  INFO(death.report());
  CHECK(death.describe() == "killed by SIGSEGV: stack overflow");
  CHECK(has(death, "recurse(int volatile*) in "));

  death = end_of(Process([] { std::thread(throw_deep, 2).join(); }));
  INFO(death.report());
  CHECK(death.describe() == "killed by SIGABRT: uncaught exception: no such file: x");
  CHECK(has(death, "throw_deep(int) in "));

  death = end_of(Process([] { ::raise(SIGSEGV); }));
  CHECK(death.describe() == "killed by SIGSEGV");
}

TEST_CASE("a crash says which message was in hand") {
  if (!kPlain) return;
  auto process = troupe::start_process<Crasher>({.name = "crasher"});
  process.address().send<Ping>([](auto) {});
  process.join();
  INFO(process.death()->report());
  CHECK(process.death()->message == "Ping");
  CHECK(has(*process.death(), "give_up() in "));
}

TEST_CASE("all who wait for a process find the same record") {
  if (!kPlain) return;
  auto process = troupe::start_process<Crasher>({.name = "crasher", .keep_stderr = true});
  auto far = troupe::start_process<Watcher>({.name = "far"});
  const auto near = troupe::spawn<Watcher>();
  const auto watch = [&](const troupe::Address& by) {
    auto answer = troupe::ask<Watch, Report>(by, [&](Watch::Builder w) { process.address().write(w.initWhom()); });
    troupe::ask<Ping, Pong>(by).get(60s);  // it has heard of that before
    return answer;
  };
  auto to_far = watch(far.address());
  auto to_near = watch(near);
  auto again = troupe::active_children();
  const int sentinel = process.sentinel();

  const Death asked = death_by_ping(process.address(), false);
  INFO(all_of(asked));
  CHECK(asked.describe() == "killed by SIGABRT");
  CHECK(asked.message == "Ping");
  CHECK(asked.last_lines == std::vector<std::string>{"about to end"});
  CHECK(has(asked, "give_up() in "));
  CHECK(asked.time.time_since_epoch().count() > 0);
  CHECK(std::string(to_far.get(60s)->getText()) == all_of(asked));
  CHECK(std::string(to_near.get(60s)->getText()) == all_of(asked));
  pollfd end{sentinel, POLLIN, 0};
  REQUIRE(::poll(&end, 1, -1) == 1);
  CHECK(all_of(process.death().value()) == all_of(asked));
  process.join();
  CHECK(all_of(process.death().value()) == all_of(asked));
  CHECK(all_of(again.front().death().value()) == all_of(asked));
  CHECK(all_of(death_by_ping(process.address(), false)) == all_of(asked));  // who asks the dead
  far.terminate();
  far.join();
}

TEST_CASE("all who wait for a supervised process find the same record, and how often it was restarted before") {
  if (!kPlain) return;
  troupe::Supervisor supervisor("", {.children = {troupe::Child::actor<Crasher>("supervised-crasher", troupe::ChildOptions{.keep_stderr = true})}});
  supervisor.start();
  for (const unsigned before : {0u, 1u}) {
    auto address = troupe::look_up("supervised-crasher");
    const Death asked = death_by_ping(address, before == 1);
    INFO(all_of(asked));
    CHECK(asked.restarts == before);
    CHECK(asked.message == "Ping");
    while (supervisor.which_children().at(0).restarts == before) ::usleep(1000);  // only so as not to ask all the time
    while (troupe::look_up("supervised-crasher") == address) ::usleep(1000);
    const Death known = supervisor.which_children().at(0).last_death.value();
    INFO(all_of(known));
    CHECK(known.restarts == before);
    CHECK(known.message == "Ping");
    CHECK(known.last_lines == std::vector<std::string>{"about to end"});
    if (before == 0) {
      CHECK(all_of(known) == all_of(asked));
      continue;
    }
    // An actor whose handler throws ends before its process does: two deaths, with the same to tell.
    CHECK(asked.describe() == "threw an exception: no such file: x");
    CHECK(known.describe() == "exited with code 1: an actor threw an exception: no such file: x");
    CHECK(has(asked, "throw_deep(int) in "));
    CHECK(asked.stack == known.stack);
  }
}

TEST_CASE("a process with more memory than it may have is ended, and one above its budget told") {
  if (!kPlain) return;
  const troupe::test::Leftovers leftovers;
  const Death death =
      end_of(Process(take_memory, std::size_t{200} << 20, ProcessOptions{.limits = {.memory_max = std::size_t{100} << 20}}));
  INFO(death.describe());
  CHECK(death.cause == Death::Cause::out_of_memory);
  CHECK(death.exitcode() == -SIGKILL);
  CHECK(death.describe().find("100.0 MiB are allowed") != std::string::npos);
  CHECK(end_of(Process(
                   [] {
                     if (troupe::over_memory_budget()) return 1;
                     std::vector<char> memory(std::size_t{100} << 20, 'x');
                     while (!troupe::over_memory_budget()) std::this_thread::yield();
                     return memory.back() == 'x' ? 0 : 2;
                   },
                   ProcessOptions{.limits = {.memory_budget = std::size_t{50} << 20}}))
            .describe() == "exited with code 0");
}

TEST_CASE("where the kernel limits memory, it does so at once") {
  if (!kPlain) return;
  const troupe::test::Leftovers leftovers;
  const auto in_its_own_group = [] {
    const auto group = troupe::os::ControlGroup::ours();
    return group && group->name().starts_with("troupe-") && group->name().find('.') != std::string::npos ? 0 : 1;
  };
  const troupe::ProcessOptions limited{.limits = {.memory_max = std::size_t{100} << 20}};
  if (end_of(Process(in_its_own_group, limited)).code != 0) {
    WARN("skipped: the memory controller of cgroup version 2 is not delegated to this test alone");
    return;
  }
  // Faster than root looks.
  const Death death = end_of(Process([] { return std::vector<char>(std::size_t{1} << 30, 'x').back() == 'x' ? 0 : 1; }, limited));
  CHECK(death.describe() == "out of memory: it wanted more than it had, 100.0 MiB are allowed");
  CHECK(death.exitcode() == -SIGKILL);
}

TEST_CASE("actors of a process above its budget are told") {
  if (!kPlain) return;
  struct Hoarder : troupe::Actor {
    explicit Hoarder(troupe::Context& context) : Actor(context), hoard_(std::size_t{100} << 20, 'x') {}
    void on_over_budget() override { stop(); }
    std::vector<char> hoard_;
  };
  auto hoarder = troupe::start_process<Hoarder>({.name = "hoarder", .limits = {.memory_budget = std::size_t{50} << 20}});
  hoarder.join();
  CHECK(hoarder.death()->describe() == "exited with code 0");
}

TEST_CASE("limits hold in the process, and those that cannot be granted end it") {
  const troupe::test::Leftovers leftovers;
  CHECK(
      end_of(Process(
                 [] {
                   rlimit files{};
                   rlimit core{};
                   ::getrlimit(RLIMIT_NOFILE, &files);
                   ::getrlimit(RLIMIT_CORE, &core);
                   const bool right = files.rlim_cur == 77 && core.rlim_cur == 0 && ::getpriority(PRIO_PROCESS, 0) == 7 &&
                                      troupe::cpu_count() == 1 && std::filesystem::current_path() == "/proc";
                   return right ? 5 : 6;
                 },
                 ProcessOptions{
                     .limits = {.open_files = 77, .core_dumps = false, .nice = 7, .cpus = {0}, .working_directory = "/proc"}}))
          .code == 5);
  CHECK(end_of(Process([] {}, ProcessOptions{.limits = {.working_directory = "/nowhere"}})).describe() ==
        "failed to start: chdir /nowhere: No such file or directory");
  CHECK(end_of(Process([] {}, ProcessOptions{.limits = {.cpus = {1000}}})).cause == Death::Cause::failed_to_start);
}
