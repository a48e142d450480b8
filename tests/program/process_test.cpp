#include <troupe/process.h>

#include <unistd.h>

#include <array>
#include <csignal>
#include <map>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <troupe/program.h>

#include "support/catch.h"
#include "support/leftovers.h"

using namespace std::chrono_literals;
using troupe::Death;
using troupe::Process;
using troupe::ProcessOptions;

namespace {

int add(int a, long b) { return a + static_cast<int>(b); }
void nothing() {}
int length(const std::string& text) { return static_cast<int>(text.size()); }
int sum(std::vector<int> numbers, const std::map<std::string, int>& more) {
  int total = 0;
  for (int number : numbers) total += number;
  for (const auto& [name, number] : more) total += number;
  return total;
}
int of_views(std::string_view text, std::span<const int> numbers, const char* more) {
  int total = static_cast<int>(text.size() + std::string(more).size());
  for (int number : numbers) total += number;
  return total;
}
void sleep_on() {
  while (true) ::pause();
}
void fail() { throw std::runtime_error("on purpose"); }

struct Pair {
  int a = 0;
  std::string b;
};
int of_struct(Pair pair) { return pair.a + static_cast<int>(pair.b.size()); }

std::optional<int> run(Process process) {
  process.start();
  process.join();
  return process.exitcode();
}

int start_another(int value) { return run(Process(add, value, 1)).value(); }

int is_called(const std::string& name) { return troupe::current_process().name == name; }

}  // namespace

TEST_CASE("functions, lambdas and closures run with their arguments") {
  const troupe::test::Leftovers leftovers;
  CHECK(run(Process(add, 3, 4)) == 7);
  CHECK(run(Process(nothing)) == 0);
  CHECK(run(Process(length, "four")) == 4);
  CHECK(run(Process(sum, std::vector{1, 2, 3}, std::map<std::string, int>{{"x", 10}})) == 16);
  CHECK(run(Process(of_views, "abc", std::vector{10, 20}, std::string("four"))) == 37);
  CHECK(run(Process(of_struct, Pair{4, "xy"})) == 6);
  CHECK(run(Process([] { return 5; })) == 5);
  CHECK(run(Process([](std::string a, int b) { return static_cast<int>(a.size()) + b; }, "abc", 2)) == 5);
  CHECK(run(Process([](auto a, auto b) { return static_cast<int>(a) + b; }, 2.5, 2)) == 4);
  const int captured = 8;
  const std::array<char, 3> more{1, 2, 3};
  CHECK(run(Process([=](int a) { return captured + more[2] + a; }, 1)) == 12);
}

TEST_CASE("a captured reference is refused, it would read a stack that is not there") {
  int local = 3;
  CHECK_THROWS_AS(Process([&local] { return local; }), std::invalid_argument);
  CHECK_THROWS_AS(Process([pointer = &local] { return *pointer; }), std::invalid_argument);
}

TEST_CASE("a null pointer is refused") {
  CHECK_THROWS_WITH(Process(static_cast<void (*)()>(nullptr)), "the function for another process is a null pointer");
}

TEST_CASE("arguments may be large") {
  CHECK(run(Process([](const std::vector<std::byte>& bytes) { return static_cast<int>(bytes.size() / 1'000'000); },
                    std::vector<std::byte>(5'000'000))) == 5);
}

TEST_CASE("the life of a process, as in Python") {
  const troupe::test::Leftovers leftovers;
  Process process(sleep_on, ProcessOptions{.name = "sleeper"});
  CHECK(process.name() == "sleeper");
  CHECK_FALSE(process.is_alive());
  CHECK_FALSE(process.pid());
  CHECK_FALSE(process.exitcode());
  CHECK_THROWS_AS(process.join(), std::logic_error);
  CHECK_THROWS_AS(process.terminate(), std::logic_error);

  process.start();
  CHECK(process.is_alive());
  CHECK(process.pid().value() > 0);
  CHECK_THROWS_AS(process.start(), std::logic_error);
  CHECK_FALSE(process.join(1ms));
  CHECK_FALSE(process.exitcode());

  process.terminate();
  process.join();
  CHECK(process.join(0ms));
  CHECK_FALSE(process.is_alive());
  CHECK(process.exitcode() == -SIGTERM);
  CHECK(process.death()->cause == Death::Cause::stopped);
  CHECK(process.pid().value() > 0);
  CHECK_THROWS_AS(process.start(), std::logic_error);
}

TEST_CASE("kill, exceptions and exit codes") {
  Process process(sleep_on);
  process.start();
  process.kill();
  process.join();
  CHECK(process.exitcode() == -SIGKILL);
  CHECK(run(Process(fail)) == 1);
  CHECK(run(Process([] { std::exit(3); })) == 3);
  CHECK(run(Process([] { ::_exit(4); })) == 4);
  CHECK(run(Process([] { std::abort(); })) == -SIGABRT);
}

TEST_CASE("processes have names") {
  const Process first(nothing);
  const Process second(nothing);
  const int n = std::stoi(first.name().substr(8));
  CHECK(first.name() == "Process-" + std::to_string(n));
  CHECK(second.name() == "Process-" + std::to_string(n + 1));
  CHECK(troupe::current_process().name == "MainProcess");
  CHECK(run(Process(is_called, "somebody", ProcessOptions{.name = "somebody"})) == 1);
  CHECK(run(Process([]() -> int { return Process(nothing).name() == "p:1"; }, ProcessOptions{.name = "p"})) == 1);
}

TEST_CASE("a process sees the environment given, and starts processes itself") {
  CHECK(run(Process([]() -> int { return std::getenv("TROUPE_TEST") != nullptr; }, ProcessOptions{.environment = {{"TROUPE_TEST", "1"}}})) == 1);
  CHECK(std::getenv("TROUPE_TEST") == nullptr);
  CHECK(run(Process(start_another, 41)) == 42);
}

TEST_CASE("terminate escalates when SIGTERM is not enough") {
  // It may be terminated before it ignores the signal: then SIGTERM was enough.
  Process process(
      [] {
        ::signal(SIGTERM, SIG_IGN);
        sleep_on();
      },
      ProcessOptions{.stop_timeout = 10ms});
  process.start();
  process.terminate();
  process.join();
  CHECK(process.death()->cause == Death::Cause::stopped);
}

TEST_CASE("a second Program is refused") {
  CHECK_THROWS_AS(troupe::Program(0, nullptr), std::logic_error);
  CHECK(run(Process([] {
          try {
            troupe::Program again(0, nullptr);
          } catch (const std::logic_error&) {
            return 1;
          }
          return 0;
        })) == 1);
}

TEST_CASE("a Process object that is dropped lets its process go on, and leaves nothing") {
  const troupe::test::Leftovers leftovers;
  for (int i = 0; i < 100; ++i) Process(nothing).start();
}
