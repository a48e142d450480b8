#include <troupe/queue.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include <troupe/process.h>

#include "handles_support.h"
#include "support/catch.h"
#include "support/leftovers.h"

using namespace std::chrono_literals;
using namespace handles_test;
using troupe::JoinableQueue;
using troupe::Leased;
using troupe::LifoQueue;
using troupe::PriorityQueue;
using troupe::Process;
using troupe::Queue;
using troupe::SimpleQueue;

TEST_CASE("a queue passes values between processes, in order, until it is closed") {
  const troupe::test::Leftovers leftovers;
  Queue<std::tuple<int, std::string>> queue(3);
  Process producer(
      [](Queue<std::tuple<int, std::string>> to) {
        for (int i = 0; i < 100; ++i) to.put({i, std::string(static_cast<std::size_t>(i) * 100, 'x')});
        to.close();
      },
      queue);
  producer.start();
  int next = 0;
  for (const auto& [number, text] : queue) {
    REQUIRE(number == next);
    REQUIRE(text.size() == static_cast<std::size_t>(number) * 100);
    ++next;
  }
  CHECK(next == 100);
  producer.join();
  CHECK_THROWS_AS(queue.get(), troupe::QueueClosed);
  CHECK_THROWS_AS(queue.put({}), troupe::QueueClosed);
  CHECK(queue.counts().put == 100);
}

TEST_CASE("Python's names, and their exceptions") {
  Queue<int> queue(2);
  CHECK_THROWS_AS(queue.get_nowait(), troupe::Empty);
  CHECK_THROWS_AS(queue.get(1ms), troupe::Empty);
  CHECK(queue.try_get() == std::nullopt);
  queue.put(1);
  CHECK(queue.try_put(2));
  CHECK(queue.full());
  CHECK(queue.qsize() == 2);
  CHECK_FALSE(queue.try_put(3));
  CHECK_THROWS_AS(queue.put_nowait(3), troupe::Full);
  CHECK_THROWS_AS(queue.put(3, 1ms), troupe::Full);
  CHECK(queue.get() == 1);
  CHECK(queue.get_nowait() == 2);
  CHECK(queue.empty());
  const std::vector<int> some{1, 2, 3, 4};
  CHECK(queue.put_many(some, 0s) == 2);
  CHECK(queue.get_many(10) == std::vector{1, 2});
  queue.close();
  CHECK(queue.get_many(10).empty());
  CHECK_THROWS_AS(queue.put_many(some), troupe::QueueClosed);
}

TEST_CASE("what does not fit is refused or dropped, as the queue's policy says") {
  Queue<int> refuses({.max_size = 1, .overflow = troupe::Overflow::fail});
  refuses.put(1);
  CHECK_THROWS_AS(refuses.put(2), troupe::Full);
  Queue<int> newest({.max_size = 1, .overflow = troupe::Overflow::drop_newest});
  newest.put(1), newest.put(2);
  CHECK(newest.get() == 1);
  CHECK(newest.counts().dropped_newest == 1);
  Queue<int> oldest({.max_size = 1, .overflow = troupe::Overflow::drop_oldest});
  oldest.put(1), oldest.put(2);
  CHECK(oldest.get() == 2);
  CHECK(oldest.counts().dropped_oldest == 1);
}

TEST_CASE("an item that a killed process had leased goes to another, and is a dead letter after too many") {
  const troupe::test::Leftovers leftovers;
  Queue<int> queue({.max_deliveries = 2});
  const auto victim = [](Queue<int> from) {
    const auto item = from.lease();
    die();
  };
  queue.put(7), queue.put(8);
  run(Process(victim, queue), -SIGKILL);
  CHECK(queue.qsize() == 2);
  {
    const auto item = queue.try_lease();
    REQUIRE(item);
    CHECK(item->deliveries() == 2);
    auto again = *queue.try_lease();
    CHECK(*again == 8);
    again.give_back();
  }
  CHECK(queue.get() == 8);
  queue.put(9);
  run(Process(victim, queue), -SIGKILL);
  run(Process(victim, queue), -SIGKILL);
  CHECK(queue.empty());
  auto letter = queue.take_dead_letter();
  REQUIRE(letter);
  CHECK(**letter == 9);
  CHECK(letter->acknowledge());
  CHECK_FALSE(queue.take_dead_letter());
  CHECK(queue.counts().quarantined == 1);
}

TEST_CASE("a lease is given back where an exception passes through") {
  Queue<int> queue;
  queue.put(1);
  try {
    const auto item = queue.lease();
    throw std::runtime_error("on purpose");
  } catch (const std::runtime_error&) {
  }
  CHECK(queue.lease().deliveries() == 2);
  CHECK(queue.empty());
}

TEST_CASE("consumers that wait outlive a consumer killed beside them") {
  const troupe::test::Leftovers leftovers;
  Queue<int> queue, results;
  const auto consumer = [](Queue<int> from, Queue<int> to) {
    while (auto item = from.try_lease(1h)) to.put(**item);
  };
  Process one(consumer, queue, results), two(consumer, queue, results);
  one.start(), two.start();
  queue.put(1);
  CHECK(results.get() == 1);
  one.kill();
  one.join();
  for (int i = 2; i < 50; ++i) queue.put(i);
  // At least once: it may have died after it passed on what it had leased.
  int expected = 2;
  while (expected < 50) {
    const int result = results.get(30s);
    if (result == 1) continue;
    REQUIRE(result == expected);
    ++expected;
  }
  queue.close();
  two.join();
  CHECK(two.exitcode() == 0);
}

TEST_CASE("join() waits for all tasks, also those of a consumer that was killed") {
  const troupe::test::Leftovers leftovers;
  JoinableQueue<int> tasks;
  for (int i = 0; i < 20; ++i) tasks.put(i);
  run(Process(
          [](JoinableQueue<int> from) {
            from.get(), from.task_done();
            from.get();
            die();
          },
          tasks),
      -SIGKILL);
  CHECK_FALSE(tasks.join(0s));
  Process worker(
      [](JoinableQueue<int> from) {
        for (const int task : from) {
          if (task < 0) break;
          from.task_done();
        }
      },
      tasks);
  worker.start();
  const auto report = tasks.join();
  CHECK(report.put == 20);
  CHECK(report.done == 20);
  CHECK(report.redelivered == 1);
  CHECK_THROWS_AS(tasks.task_done(), std::logic_error);
  tasks.close();
  worker.join();
  CHECK(worker.exitcode() == 0);
}

TEST_CASE("handles travel in handles: a queue of queues") {
  const troupe::test::Leftovers leftovers;
  Queue<Queue<std::string>> askers;
  Process server(
      [](Queue<Queue<std::string>> from) {
        for (Queue<std::string>& asker : from) asker.put("hello");
      },
      askers);
  server.start();
  for (int i = 0; i < 5; ++i) {
    Queue<std::string> answer;
    askers.put(answer);
    CHECK(answer.get() == "hello");
  }
  {
    Queue<std::string> forgotten;  // before it is opened; the queue keeps it
    askers.put(forgotten);
  }
  askers.close();
  server.join();
  CHECK(server.exitcode() == 0);
}

TEST_CASE("handles travel in values") {
  const troupe::test::Leftovers leftovers;
  std::map<std::string, SimpleQueue<int>> queues;
  queues.emplace("a", SimpleQueue<int>());
  queues.emplace("b", SimpleQueue<int>());
  run(Process(
      [](std::map<std::string, SimpleQueue<int>> to) {
        to.at("a").put(1);
        to.at("b").put(2);
      },
      queues));
  CHECK(queues.at("b").get() == 2);
  CHECK(queues.at("a").get() == 1);
  CHECK(queues.at("a").empty());
}

TEST_CASE("one queue may be two arguments of a process") {
  const troupe::test::Leftovers leftovers;
  Queue<int> queue;
  queue.put(1);
  run(Process([](Queue<int> from, Queue<int> to) { to.put(from.get() + 1); }, queue, queue));
  CHECK(queue.get() == 2);
}

TEST_CASE("a queue lives as long as anybody uses it, and a Process keeps its arguments until it starts") {
  const troupe::test::Leftovers leftovers;
  Queue<int> results;
  std::optional<Queue<int>> numbers(std::in_place);
  numbers->put(5);
  Process process([](Queue<int> from, Queue<int> to) { to.put(from.get() + 1); }, *numbers, results);
  numbers.reset();
  process.start();
  CHECK(results.get(30s) == 6);
  process.join();
}

TEST_CASE("many processes come and go: their slots are used again") {
  const troupe::test::Leftovers leftovers;
  Queue<int> queue;
  for (int i = 0; i < 300; ++i) {
    Process process([](Queue<int> to, int number) { to.put(number); }, queue, i);
    process.start();
    REQUIRE(queue.get(30s) == i);
    process.join();
  }
}

TEMPLATE_TEST_CASE("killed at random, producers and consumers lose nothing that was put", "", Queue<int>, LifoQueue<int>,
                   PriorityQueue<int>) {
  const troupe::test::Leftovers leftovers;
  TestType queue(10);
  Queue<int> done, put;
  std::map<int, int> seen;
  const auto produce = [](TestType to, Queue<int> note, int first) {
    for (int i = first; i < first + 50; ++i) {
      to.put(i);
      note.put(i);
    }
  };
  const auto consume = [](TestType from, Queue<int> to) {
    while (auto item = from.try_lease(1h)) to.put(**item);
  };
  std::vector<Process> consumers;
  for (int i = 0; i < 3; ++i) consumers.emplace_back(consume, queue, done), consumers.back().start();
  for (int round = 0; round < 20; ++round) {
    Process producer(produce, queue, put, round * 100);
    producer.start();
    if (round % 2 == 0) {
      ++seen[done.get(30s)];
      producer.kill();
    }
    producer.join();
    Process& victim = consumers[static_cast<std::size_t>(round) % 3];
    victim.kill();
    victim.join();
    victim = Process(consume, queue, done);
    victim.start();
  }
  queue.close();
  for (auto& consumer : consumers) consumer.join();
  while (const auto number = done.try_get()) ++seen[*number];
  int lost = 0;
  while (const auto number = put.try_get()) lost += seen.contains(*number) ? 0 : 1;
  CHECK(lost == 0);
  CHECK(queue.empty());
}
