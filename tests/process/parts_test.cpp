// The parts of root that know no processes.

#include <csignal>
#include <vector>

#include <troupe/errors.h>

#include "process/names.h"
#include "process/signal_merge.h"
#include "process/timers.h"
#include "support/catch.h"

using namespace std::chrono_literals;
using troupe::Clock;
using troupe::Death;
using troupe::process::Entry;
using troupe::process::Modules;
using troupe::process::Names;
using troupe::process::SignalMerge;
using troupe::process::Timers;

TEST_CASE("timers run when due, earliest first, and what they add waits") {
  Timers timers;
  std::vector<int> order;
  const Clock::time_point start{};
  CHECK(timers.next() == Clock::time_point::max());
  timers.at(start + 2ms, [&] { order.push_back(2); });
  timers.at(start + 1ms, [&] {
    order.push_back(1);
    timers.at(start, [&] { order.push_back(3); });
  });
  const auto never = timers.at(start + 1ms, [&] { order.push_back(9); });
  timers.cancel(never);
  timers.cancel(never);
  timers.run(start);
  CHECK(order.empty());
  timers.run(start + 5ms);
  CHECK(order == std::vector{1, 2});
  CHECK(timers.next() == start);
  timers.run(start + 5ms);
  CHECK(order == std::vector{1, 2, 3});
}

TEST_CASE("a timer may cancel another that is due") {
  Timers timers;
  std::vector<int> order;
  Timers::Id second = 0;
  timers.at(Clock::time_point{}, [&] { timers.cancel(second); });
  second = timers.at(Clock::time_point{}, [&] { order.push_back(2); });
  timers.run(Clock::time_point{});
  CHECK(order.empty());
}

TEST_CASE("copies of a signal count once, and it shows whether main had one") {
  Timers timers;
  std::vector<std::pair<int, bool>> merged;
  SignalMerge merge(timers, [&](SignalMerge::Merged one) { merged.emplace_back(one.signal, one.to_group); });
  const Clock::time_point start{};
  const auto later = start + 1s;

  SECTION("guard alone was signalled") {
    CHECK(!merge.open());
    merge.add(SIGTERM, SignalMerge::From::guard, start);
    CHECK(merge.open());
    timers.run(later);
    CHECK(!merge.open());
    CHECK(merged == std::vector{std::pair(SIGTERM, false)});
  }
  SECTION("the group was, and guard twice, as by `timeout`") {
    merge.add(SIGTERM, SignalMerge::From::guard, start);
    merge.add(SIGTERM, SignalMerge::From::others, start);
    merge.add(SIGTERM, SignalMerge::From::guard, start);
    timers.run(later);
    CHECK(merged == std::vector{std::pair(SIGTERM, true)});
  }
  SECTION("two kinds are two, and so are two times") {
    merge.add(SIGTERM, SignalMerge::From::guard, start);
    merge.add(SIGHUP, SignalMerge::From::others, start);
    timers.run(later);
    merge.add(SIGTERM, SignalMerge::From::guard, later);
    timers.run(later + 1s);
    CHECK(merged.size() == 3);
  }
  SECTION("the terminal's come at once, each") {
    merge.add(SIGINT, SignalMerge::From::terminal, start);
    merge.add(SIGINT, SignalMerge::From::terminal, start);
    CHECK(merged.size() == 2);
    CHECK(timers.next() == Clock::time_point::max());
  }
}

TEST_CASE("a declared name outlives its process, another one does not") {
  Names names;
  names.declare("a", {.ring_bytes = 8192});
  CHECK(names.look_up("a", {1, 10}).empty());
  auto answers = names.register_name("a", {5, 1, 1});
  REQUIRE(answers.size() == 1);
  CHECK(answers[0].to.question == 10);
  CHECK(answers[0].place == troupe::Address{5, 1, 1});
  CHECK(answers[0].options.ring_bytes == 8192);

  names.register_name("b", {5, 2, 1});
  names.ended(5, {Death::Cause::signalled, SIGKILL, ""});
  CHECK(names.look_up("a", {1, 11}).empty());
  CHECK(names.look_up("b", {1, 12}).at(0).why.code == SIGKILL);
  CHECK(names.withdraw("a", {Death::Cause::exited, 4, ""}).at(0).why.code == 4);
  CHECK(names.look_up("a", {1, 13}).at(0).why.code == 4);
  CHECK(names.look_up("c", {1, 14}).at(0).why.cause == Death::Cause::unreachable);
}

TEST_CASE("names of the dead make room for new ones, oldest first") {
  Names names;
  for (std::size_t i = 0; i < Names::kNamesMax; ++i) names.register_name("worker-" + std::to_string(i), {5, 0, 1});
  names.ended(5, {Death::Cause::signalled, SIGKILL, ""});
  names.register_name("fresh", {6, 0, 1});
  CHECK(names.look_up("fresh", {7, 1}).at(0).place == troupe::Address{6, 0, 1});
  std::size_t known = 0;
  for (std::size_t i = 0; i < Names::kNamesMax; ++i) {
    known += names.look_up("worker-" + std::to_string(i), {7, 2}).at(0).why.cause == Death::Cause::signalled;
  }
  CHECK(known == Names::kDeadNamesMax);
}

TEST_CASE("who asks for one name over and over holds up nobody else") {
  Names names;
  names.declare("a", {});
  for (std::size_t i = 0; i < Names::kAskersOfOneMax; ++i) CHECK(names.look_up("a", {1, i}).empty());
  const auto given_up = names.look_up("a", {1, Names::kAskersOfOneMax});
  REQUIRE(given_up.size() == 1);
  CHECK(given_up[0].to.question == 0);
  CHECK(given_up[0].why.cause == Death::Cause::unreachable);
  CHECK(names.look_up("a", {2, 1}).empty());
  CHECK(names.register_name("a", {5, 1, 1}).size() == Names::kAskersOfOneMax + 1);
}

TEST_CASE("who died is not answered") {
  Names names;
  names.declare("a", {});
  CHECK(names.look_up("a", {1, 10}).empty());
  names.ended(1, {});
  CHECK(names.register_name("a", {5, 1, 1}).empty());
}

namespace {
int some_function(std::span<const std::byte>) { return 0; }
}  // namespace

TEST_CASE("a function is found again by its place, and nothing else is") {
  const Modules modules;
  auto place = modules.place_of(&some_function);
  CHECK(modules.entry_at(place) == &some_function);
  ++place.build;
  CHECK_THROWS_AS(modules.entry_at(place), troupe::ProtocolError);
  CHECK_THROWS_AS(modules.entry_at({0, 1u << 30, place.build - 1}), troupe::ProtocolError);
  CHECK_THROWS_AS(modules.entry_at({9999, 0, 0}), troupe::ProtocolError);
  CHECK_THROWS_AS(modules.place_of(nullptr), std::invalid_argument);
  static int data = 0;
  CHECK_THROWS_AS(modules.place_of(reinterpret_cast<Entry>(&data)), std::invalid_argument);
}
