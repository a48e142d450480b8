// What a death tells: six kinds of end, each explained in one line, and where it was.

#include <troupe/process.h>

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

#include "program/test_supervisor.capnp.h"
#include "support/catch.h"
#include "support/leftovers.h"
#include "support/stepper.h"

using namespace std::chrono_literals;
using troupe::Death;
using troupe::Process;
using troupe::ProcessOptions;

namespace {

// Sanitizers explain crashes themselves, and take more memory.
constexpr bool kPlain = troupe::test::kStepperWorks;

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

struct Crasher : troupe::Actor {
  explicit Crasher(troupe::Context& context) : Actor(context) {
    on<troupe::test::Ping>([](auto) { give_up(); });
  }
};

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
  process.address().send<troupe::test::Ping>([](auto) {});
  process.join();
  INFO(process.death()->report());
  CHECK(process.death()->message == "Ping");
  CHECK(has(*process.death(), "give_up() in "));
}

TEST_CASE("all who wait find the same record") {
  if (!kPlain) return;
  Process process(use_null_pointer);
  process.start();
  std::vector<Death> deaths(3);
  auto again = troupe::active_children();
  process.join();
  deaths[0] = process.death().value();
  if (!again.empty()) {
    CHECK(again.front().death()->stack == deaths[0].stack);
    CHECK(again.front().death()->time == deaths[0].time);
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
