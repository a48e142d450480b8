#include <troupe/queue.h>

#include <chrono>
#include <csignal>
#include <limits>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <troupe/errors.h>
#include <troupe/process.h>

#include "handles_support.h"
#include "support/catch.h"
#include "support/leftovers.h"

using namespace std::chrono_literals;
using namespace handles_test;
using troupe::JoinableQueue;
using troupe::LifoQueue;
using troupe::PriorityQueue;
using troupe::Process;
using troupe::Queue;

namespace {

using Task = std::pair<int, std::string>;

enum class Urgency : std::int8_t { low = 1, high = -1 };

struct Job {
  double priority = 0;
  std::string name;
};

struct Longest {
  auto operator()(const std::string& text) const { return -static_cast<std::int64_t>(text.size()); }
};

template <class AnyQueue>
auto all_of(AnyQueue& queue) {
  std::vector<decltype(queue.get())> values;
  while (auto value = queue.try_get()) values.push_back(*std::move(value));
  return values;
}

}  // namespace

TEST_CASE("a LifoQueue has Python's names and exceptions, and hands out what was put last") {
  LifoQueue<int> queue(3);
  CHECK_THROWS_AS(queue.get_nowait(), troupe::Empty);
  CHECK_THROWS_AS(queue.get(1ms), troupe::Empty);
  queue.put(1), queue.put(2);
  CHECK(queue.try_put(3));
  CHECK(queue.full());
  CHECK_FALSE(queue.try_put(4));
  CHECK_THROWS_AS(queue.put_nowait(4), troupe::Full);
  CHECK_THROWS_AS(queue.put(4, 1ms), troupe::Full);
  CHECK(queue.qsize() == 3);
  CHECK(queue.get() == 3);
  CHECK(queue.get_many(10) == std::vector{2, 1});
  const std::vector<int> some{1, 2, 3, 4};
  CHECK(queue.put_many(some, 0s) == 3);
  queue.close();
  CHECK_THROWS_AS(queue.put(5), troupe::QueueClosed);
  std::vector<int> rest;
  for (const int number : queue) rest.push_back(number);
  CHECK(rest == std::vector{3, 2, 1});
  CHECK_THROWS_AS(queue.get(), troupe::QueueClosed);
}

TEST_CASE("a bounded LifoQueue that drops its oldest items is an undo stack") {
  LifoQueue<std::string> undo({.max_size = 2, .overflow = troupe::Overflow::drop_oldest});
  for (const auto* edit : {"type", "cut", "paste"}) undo.put(edit);
  CHECK(undo.counts().dropped_oldest == 1);
  CHECK(all_of(undo) == std::vector<std::string>{"paste", "cut"});
  CHECK_THROWS_AS(PriorityQueue<int>({.overflow = troupe::Overflow::drop_oldest}), troupe::ConfigError);
}

TEST_CASE("a PriorityQueue hands out the lowest number first, and equal ones as they were put") {
  PriorityQueue<int> numbers;
  for (const int number : {3, -1, std::numeric_limits<int>::max(), 0, std::numeric_limits<int>::min(), -7}) numbers.put(number);
  CHECK(all_of(numbers) == std::vector{std::numeric_limits<int>::min(), -7, -1, 0, 3, std::numeric_limits<int>::max()});
  PriorityQueue<Task> tasks;
  for (const auto& task : {Task{2, "code"}, Task{1, "eat"}, Task{3, "sleep"}, Task{1, "drink"}}) tasks.put(task);
  CHECK(all_of(tasks) == std::vector<Task>{{1, "eat"}, {1, "drink"}, {2, "code"}, {3, "sleep"}});
}

TEST_CASE("what the priority of an item is") {
  PriorityQueue<double> doubles;
  const double infinite = std::numeric_limits<double>::infinity();
  for (const double number : {1e300, -0.5, infinite, 0.25, -infinite, -1e-300}) doubles.put(number);
  CHECK(all_of(doubles) == std::vector{-infinite, -0.5, -1e-300, 0.25, 1e300, infinite});
  PriorityQueue<std::tuple<Urgency, int>> urgent;
  urgent.put({Urgency::low, 1}), urgent.put({Urgency::high, 2});
  CHECK(std::get<1>(urgent.get()) == 2);
  PriorityQueue<Job> jobs;
  jobs.put({0.5, "second"}), jobs.put({-0.5, "first"});
  CHECK(jobs.get().name == "first");
  PriorityQueue<std::string, Longest> texts;
  texts.put("a"), texts.put("abc"), texts.put("ab");
  CHECK(all_of(texts) == std::vector<std::string>{"abc", "ab", "a"});
  PriorityQueue<std::chrono::seconds> waits;
  waits.put(3s), waits.put(1s);
  CHECK(waits.get() == 1s);
}

TEST_CASE("what a killed process had leased comes back to its old place, and is a dead letter after too many") {
  const troupe::test::Leftovers leftovers;
  PriorityQueue<Task> tasks({.max_deliveries = 2});
  tasks.put({2, "b"}), tasks.put({4, "d"});
  const auto victim = [](PriorityQueue<Task> from) {
    const auto first = from.lease();
    const auto second = from.lease();
    die();
  };
  run(Process(victim, tasks), -SIGKILL);
  CHECK(tasks.qsize() == 2);
  tasks.put({1, "a"}), tasks.put({3, "c"});
  {
    const auto first = tasks.lease(), second = tasks.lease();
    CHECK(first.deliveries() == 1);
    CHECK(second.deliveries() == 2);
  }
  CHECK(tasks.get() == Task{3, "c"});
  run(Process([](PriorityQueue<Task> from) { const auto item = from.lease(); die(); }, tasks), -SIGKILL);
  CHECK(tasks.empty());
  auto letter = tasks.take_dead_letter();
  REQUIRE(letter);
  CHECK(**letter == Task{4, "d"});
}

TEST_CASE("a killed consumer's tasks of a joinable priority queue are done by another") {
  const troupe::test::Leftovers leftovers;
  using Tasks = JoinableQueue<Task, PriorityQueue<Task>>;
  Tasks tasks;
  for (int i = 9; i >= 0; --i) tasks.put({i, "task"});
  run(Process([](Tasks from) { from.get(), from.get(), die(); }, tasks), -SIGKILL);
  CHECK_FALSE(tasks.join(0s));
  Queue<int> order;
  Process worker(
      [](Tasks from, Queue<int> to) {
        for (const auto& [priority, name] : from) to.put(priority), from.task_done();
      },
      tasks, order);
  worker.start();
  const auto report = tasks.join();
  CHECK(report.done == 10);
  CHECK(report.redelivered == 2);
  CHECK(order.get_many(100) == std::vector{0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
  tasks.close();
  worker.join();
}

TEST_CASE("handles of ordered queues travel, also in items of queues") {
  const troupe::test::Leftovers leftovers;
  LifoQueue<PriorityQueue<int>> queues;
  PriorityQueue<int> mine;
  queues.put(mine);
  run(Process([](LifoQueue<PriorityQueue<int>> from) {
        auto queue = from.get();
        queue.put(2), queue.put(1);
      },
      queues));
  CHECK(all_of(mine) == std::vector{1, 2});
}
