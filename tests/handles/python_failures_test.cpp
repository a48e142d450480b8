#include <troupe/queue.h>

#include <sched.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <fstream>
#include <string>

#include <troupe/process.h>
#include <troupe/sync.h>

#include "support/catch.h"
#include "support/leftovers.h"

// What users of Python's multiprocessing complain about, where it is about queues: each test is named after the failure there, and
// sees the better outcome here.
using namespace std::chrono_literals;
using troupe::Event;
using troupe::JoinableQueue;
using troupe::LifoQueue;
using troupe::PriorityQueue;
using troupe::Process;
using troupe::Queue;

namespace {

// Sleeps in the kernel: in an operation that cannot go on.
bool is_asleep(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  std::getline(file, text);
  const auto name_end = text.rfind(')');
  return name_end != std::string::npos && text.size() > name_end + 2 && text[name_end + 2] == 'S';
}

// Kills it where it waits, after it set `ready`.
void kill_asleep(Process& victim, Event& ready) {
  ready.wait();
  const auto deadline = std::chrono::steady_clock::now() + 30s;
  while (!is_asleep(*victim.pid()) && std::chrono::steady_clock::now() < deadline) ::sched_yield();
  victim.kill();
  victim.join();
  REQUIRE(victim.exitcode() == -SIGKILL);
}

}  // namespace

TEMPLATE_TEST_CASE("Python: a queue whose reader is killed is empty for ever", "", Queue<int>, LifoQueue<int>, PriorityQueue<int>) {
  const troupe::test::Leftovers leftovers;
  TestType queue;
  Event ready;
  Process reader([](TestType from, Event waits) { waits.set(), from.get(); }, queue, ready);
  reader.start();
  kill_asleep(reader, ready);  // there it holds the lock of all readers, for ever
  queue.put(1);
  CHECK(queue.get(30s) == 1);
  Process next([](TestType from, TestType to) { to.put(from.get(30s) + 1); }, queue, queue);
  next.start();
  queue.put(2);
  next.join();
  CHECK(next.exitcode() == 0);
  CHECK(queue.get(30s) == 3);
}

TEMPLATE_TEST_CASE("Python: a bounded queue whose writer is killed takes no more", "", Queue<int>, LifoQueue<int>, PriorityQueue<int>) {
  const troupe::test::Leftovers leftovers;
  TestType queue(1);
  Event ready;
  queue.put(1);
  Process writer([](TestType to, Event waits) { waits.set(), to.put(2); }, queue, ready);
  writer.start();
  kill_asleep(writer, ready);
  CHECK(queue.get(30s) == 1);
  queue.put(3, 30s);
  CHECK(queue.get(30s) == 3);
  CHECK(queue.empty());
}

TEMPLATE_TEST_CASE("Python: what a process put is lost when it is killed, for put() only hands it to a thread", "", Queue<std::string>,
                   LifoQueue<std::string>) {
  const troupe::test::Leftovers leftovers;
  TestType queue;
  Process writer(
      [](TestType to) {
        to.put(std::string(1 << 20, 'x'));
        ::kill(::getpid(), SIGKILL);
      },
      queue);
  writer.start();
  writer.join();
  CHECK(writer.exitcode() == -SIGKILL);
  CHECK(queue.get(30s) == std::string(1 << 20, 'x'));
}

TEST_CASE("Python: joining a process that put more than a pipe holds waits for ever") {
  const troupe::test::Leftovers leftovers;
  Queue<std::string> queue;
  Process writer([](Queue<std::string> to) { to.put(std::string(8 << 20, 'x')); }, queue);
  writer.start();
  CHECK(writer.join(60s));
  CHECK(queue.get(30s).size() == 8 << 20);
}

TEST_CASE("Python: join() of a JoinableQueue hangs when a consumer dies before task_done()") {
  const troupe::test::Leftovers leftovers;
  using Tasks = JoinableQueue<int, PriorityQueue<int>>;
  Tasks tasks;
  tasks.put(1);
  Process dies([](Tasks from) { from.get(), ::kill(::getpid(), SIGKILL); }, tasks);
  dies.start();
  dies.join();
  Process works([](Tasks from) { from.get(), from.task_done(); }, tasks);
  works.start();
  const auto report = tasks.join(60s);
  REQUIRE(report);
  CHECK(report->redelivered == 1);
  works.join();
}

TEST_CASE("Python: a queue in an inconsistent state after terminate() of a process that used it") {
  const troupe::test::Leftovers leftovers;
  PriorityQueue<int> queue;
  Queue<int> going;
  for (int round = 0; round < 10; ++round) {
    Process user(
        [](PriorityQueue<int> both, Queue<int> started) {
          started.put(1);
          for (int i = 0;; ++i) both.put(i), both.get();
        },
        queue, going);
    user.start();
    going.get(30s);
    user.terminate();
    user.join();
    REQUIRE(user.exitcode() == -SIGTERM);
    REQUIRE(queue.qsize() <= 1);
    while (queue.try_get()) {
    }
  }
  queue.put(5);
  CHECK(queue.get() == 5);
}
