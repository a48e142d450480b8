// What handles stand for is kept while they are on their way, and no longer.

#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstring>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <troupe/troupe.h>

#include "handles_support.h"
#include "support/catch.h"
#include "support/leftovers.h"

using namespace std::chrono_literals;
using namespace troupe;
using namespace handles_test;

namespace {

process::Client& client() { return *process::Client::here(); }

// Puts a queue with a 7 in it, that nobody else has; its number.
template <class Outer>
std::uint64_t put_inner(Outer& outer) {
  Queue<int> inner;
  inner.put(7);
  if constexpr (requires { outer.put({1, inner}); }) outer.put({1, inner});
  else outer.put(inner);
  return number_of(inner);
}

using Ranked = PriorityQueue<std::pair<int, Queue<int>>>;
Queue<int> inner_of(const Queue<int>& item) { return item; }
Queue<int> inner_of(const std::pair<int, Queue<int>>& item) { return item.second; }

}  // namespace

TEMPLATE_TEST_CASE("what was leased is kept for as long as the lease, and goes when it is acknowledged", "", Queue<Queue<int>>,
                   LifoQueue<Queue<int>>, Ranked) {
  const troupe::test::Leftovers leftovers;
  TestType outer;
  const std::uint64_t number = put_inner(outer);
  {
    auto item = outer.lease();
    CHECK(item.give_back());
  }
  for (int round = 0; round < 2; ++round) {
    auto item = outer.lease();
    CHECK(inner_of(*item).qsize() == 1);
    CHECK((round == 1 ? item.acknowledge() : item.give_back()));
  }
  check_gone(number);
  const std::uint64_t second = put_inner(outer);
  CHECK(inner_of(outer.get()).get_nowait() == 7);
  check_gone(second);
}

TEST_CASE("a task's handles go with task_done()") {
  const troupe::test::Leftovers leftovers;
  JoinableQueue<Queue<int>> tasks;
  const std::uint64_t number = put_inner(tasks);
  CHECK(tasks.get().get_nowait() == 7);
  tasks.task_done();
  check_gone(number);
}

TEMPLATE_TEST_CASE("what a killed worker had leased comes to the next with all that it needs", "", Queue<Queue<int>>,
                   LifoQueue<Queue<int>>) {
  const troupe::test::Leftovers leftovers;
  TestType outer;
  const std::uint64_t number = put_inner(outer);
  Process dies(
      [](TestType from) {
        auto item = from.lease();
        if (item->qsize() == 1) die();
      },
      outer);
  dies.start();
  dies.join();
  CHECK(dies.exitcode() == -SIGKILL);
  {
    auto item = outer.lease(30s);
    CHECK(item.deliveries() == 2);
    CHECK(item->get_nowait() == 7);
  }
  check_gone(number);
}

TEST_CASE("many at once, with and without handles, and what finds no room") {
  const troupe::test::Leftovers leftovers;
  Queue<std::optional<Queue<int>>> outer(3);
  std::vector<std::uint64_t> numbers;
  {
    std::vector<std::optional<Queue<int>>> some(5);
    for (const std::size_t i : {0, 2, 4}) numbers.push_back(number_of(some[i].emplace()));
    CHECK(outer.put_many(some, 0s) == 3);
  }
  check_gone(numbers[2]);
  auto got = outer.get_many(10, 30s);
  REQUIRE(got.size() == 3);
  CHECK((got[0] && !got[1] && got[2]));
  got.clear();
  check_gone(numbers[0]);
  check_gone(numbers[1]);
}

TEST_CASE("a large item's handles") {
  const troupe::test::Leftovers leftovers;
  Queue<std::pair<std::string, Queue<int>>> outer;
  std::uint64_t number = 0;
  {
    Queue<int> inner;
    number = number_of(inner);
    outer.put({std::string(1 << 20, 'x'), inner});
  }
  Process dies([](Queue<std::pair<std::string, Queue<int>>> from) { auto item = from.lease(); die(); }, outer);
  dies.start();
  dies.join();
  CHECK(outer.get(30s).second.empty());
  check_gone(number);
}

TEST_CASE("a handle given to a process whose start root has not read yet") {
  const troupe::test::Leftovers leftovers;
  const auto probe = client().start({.entry = [](std::span<const std::byte>) { return 0; }});
  client().join(probe);
  client().forget(probe);
  std::uint64_t number = 0;
  {
    Queue<int> basket;
    number = number_of(basket);
    client().give_things(probe + 1, {number});
  }
  std::vector<std::byte> arguments(sizeof number);
  std::memcpy(arguments.data(), &number, sizeof number);
  const auto child = client().start({.entry =
                                         [](std::span<const std::byte> bytes) {
                                           std::uint64_t given = 0;
                                           std::memcpy(&given, bytes.data(), sizeof given);
                                           static_cast<void>(client().open_thing(given));
                                           client().things_arrived(client().self(), {given});
                                           client().close_thing(given);
                                           return 5;
                                         },
                                     .arguments = arguments});
  REQUIRE(child == probe + 1);
  CHECK(client().join(child)->code == 5);
  client().forget(child);
  check_gone(number);
}

TEST_CASE("a handle given to a process that never comes goes with who might have started it") {
  const troupe::test::Leftovers leftovers;
  Queue<std::uint64_t> told;
  Process parent(
      [](Queue<std::uint64_t> to) {
        Queue<int> basket;
        client().give_things(process::make_id(client().serial(), 1), {number_of(basket)});
        to.put(number_of(basket));
      },
      told);
  parent.start();
  parent.join();
  CHECK(parent.exitcode() == 0);
  check_gone(told.get());
}
