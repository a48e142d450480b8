#include <troupe/queue.h>

#include <sched.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <fstream>
#include <map>
#include <string>
#include <utility>

#include <troupe/troupe.h>

#include "support/catch.h"
#include "support/leftovers.h"

// What users of Python's multiprocessing complain about: each test is named after the failure there, and sees the better outcome here.
// A pool is workers with leases on a queue of tasks, kept alive by a supervisor.
//
//   failure                                            | test, "Python: …"
//   a pool hangs when a worker dies                    | a task whose worker is killed is never done, and its get() hangs
//     (gh-66587, gh-96062)                             | a pool whose idle workers are killed does no task any more
//                                                      | close() and join() of a pool hang after a worker was killed in a task
//   an executor breaks whole                           | an executor one of whose processes is killed is broken: all its tasks fail, …
//   a queue whose reader is killed is empty for ever   | a queue whose reader is killed is empty for ever
//   a lock held by a dead process stays held           | a lock that a killed process held stays held for ever
//     (gh-88304)                                       | permits that a killed process held are gone
//   daemons outlive a SIGKILLed parent (gh-80180)      | daemons outlive a parent that is killed; kill_tree_test.cpp: also with root
//   a producer killed in a large put()                 | a bounded queue whose writer is killed takes no more
//                                                      | what a process put is lost when it is killed, …
//   a Manager that is killed takes along what it held  | what a manager holds is gone when that is killed
//   a pipe whose peer is killed, held by a fork        | the end of a pipe is not seen while another child inherited it
//   join() with a full pipe; JoinableQueue; terminate()| the other three about queues
using namespace std::chrono_literals;
using troupe::Child;
using troupe::Connection;
using troupe::EndOfFile;
using troupe::Event;
using troupe::JoinableQueue;
using troupe::LifoQueue;
using troupe::Lock;
using troupe::PriorityQueue;
using troupe::Process;
using troupe::Queue;
using troupe::Semaphore;
using troupe::Supervisor;
using troupe::SupervisorSpec;
using troupe::Value;

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

// Pools and executors.

namespace {

struct Task {
  int number;
  bool deadly;  // to the first who takes it
};
// Which task, and who did it.
using Done = std::pair<int, pid_t>;

void worker(Queue<Task> tasks, Queue<Done> results, Queue<pid_t> taken) {
  try {
    while (true) {
      auto task = tasks.lease();
      taken.put(::getpid());
      if (task->deadly && task.deliveries() == 1) ::kill(::getpid(), SIGKILL);
      results.put({task->number, ::getpid()});
    }
  } catch (const troupe::QueueClosed&) {
  }
}

class Workers {
 public:
  explicit Workers(int count) : supervisor_("", spec(count, *this)) { supervisor_.start(); }
  void do_task(int number, bool deadly = false) { tasks.put({number, deadly}); }

  Queue<Task> tasks;
  Queue<Done> results;
  Queue<pid_t> taken;
  Supervisor& supervisor() { return supervisor_; }

 private:
  static SupervisorSpec spec(int count, const Workers& us) {
    SupervisorSpec spec{.max_restarts = 100, .auto_shutdown = troupe::AutoShutdown::all_significant, .backoff = {.min = 0s}};
    for (int i = 0; i < count; ++i) {
      spec.children.emplace_back("worker." + std::to_string(i), worker, us.tasks, us.results, us.taken,
                                 troupe::ChildOptions{.restart = troupe::Restart::transient, .significant = true});
    }
    return spec;
  }
  Supervisor supervisor_;
};

}  // namespace

TEST_CASE("Python: a task whose worker is killed is never done, and its get() hangs") {
  const troupe::test::Leftovers leftovers;
  Workers pool(2);
  pool.do_task(1, true);
  CHECK(pool.results.get(60s).first == 1);
  CHECK(pool.taken.get(30s) != pool.taken.get(30s));
  pool.do_task(2);
  CHECK(pool.results.get(60s).first == 2);
  pool.supervisor().stop();
}

TEST_CASE("Python: a pool whose idle workers are killed does no task any more") {
  const troupe::test::Leftovers leftovers;
  Workers pool(2);
  std::map<pid_t, int> workers;
  for (int number = 0; workers.size() < 2; ++number) {
    pool.do_task(number);
    ++workers[pool.results.get(60s).second];
  }
  for (const auto& [pid, times] : workers) {
    const auto deadline = std::chrono::steady_clock::now() + 30s;
    while (!is_asleep(pid) && std::chrono::steady_clock::now() < deadline) ::sched_yield();
    ::kill(pid, SIGKILL);
  }
  pool.do_task(-7);
  CHECK(pool.results.get(60s).first == -7);
  pool.supervisor().stop();
}

TEST_CASE("Python: close() and join() of a pool hang after a worker was killed in a task") {
  const troupe::test::Leftovers leftovers;
  Workers pool(2);
  for (int number = 0; number < 10; ++number) pool.do_task(number, number == 3);
  pool.tasks.close();
  pool.supervisor().join();
  std::map<int, int> done;
  while (const auto result = pool.results.try_get()) ++done[result->first];
  CHECK(done.size() == 10);
  CHECK(pool.tasks.counts().redelivered == 1);
}

TEST_CASE("Python: an executor one of whose processes is killed is broken: all its tasks fail, and it takes no more") {
  const troupe::test::Leftovers leftovers;
  Workers pool(2);
  for (int number = 0; number < 40; ++number) pool.do_task(number, number % 10 == 5);
  std::map<int, int> done;
  for (int i = 0; i < 40; ++i) ++done[pool.results.get(60s).first];
  CHECK(done.size() == 40);
  pool.do_task(100);
  CHECK(pool.results.get(60s).first == 100);
  pool.supervisor().stop();
}

// Locks, managers, pipes, daemons.

TEST_CASE("Python: a lock that a killed process held stays held for ever") {
  const troupe::test::Leftovers leftovers;
  Lock lock;
  Process holder([](Lock mine) { mine.acquire(), ::kill(::getpid(), SIGKILL); }, lock);
  holder.start();
  holder.join();
  CHECK(lock.acquire(true, 30s));
  CHECK(lock.abandoned());
  lock.release();
  CHECK(lock.acquire(true, 30s));
  CHECK_FALSE(lock.abandoned());
}

TEST_CASE("Python: permits that a killed process held are gone") {
  const troupe::test::Leftovers leftovers;
  Semaphore permits(2);
  Process holder([](Semaphore mine) { mine.acquire(), mine.acquire(), ::kill(::getpid(), SIGKILL); }, permits);
  holder.start();
  holder.join();
  CHECK(permits.acquire(true, 30s));
  CHECK(permits.acquire(true, 30s));
}

TEST_CASE("Python: what a manager holds is gone when that is killed") {
  const troupe::test::Leftovers leftovers;
  Queue<std::pair<Value<int>, Lock>> told;
  Process maker(
      [](Queue<std::pair<Value<int>, Lock>> to) {
        Value<int> value(42);
        Lock lock;
        lock.acquire();
        to.put({value, lock});
        ::kill(::getpid(), SIGKILL);
      },
      told);
  maker.start();
  maker.join();
  auto [value, lock] = told.get(30s);
  CHECK(value.get() == 42);
  CHECK(lock.acquire(true, 30s));
}

TEST_CASE("Python: the end of a pipe is not seen while another child inherited it") {
  const troupe::test::Leftovers leftovers;
  auto [ours, theirs] = troupe::Pipe();
  Process peer([](Connection pipe) { pipe.recv<int>(); }, theirs);
  peer.start();
  Event end;
  Process bystander([](Event until) { until.wait(); }, end);  // a fork would hold all that was open
  bystander.start();
  theirs.close();
  peer.kill();
  CHECK_THROWS_AS(ours.recv<int>(), EndOfFile);
  CHECK_THROWS_AS(ours.send(1), troupe::BrokenPipe);
  peer.join();
  end.set();
  bystander.join();
}

TEST_CASE("Python: daemons outlive a parent that is killed") {
  const troupe::test::Leftovers leftovers;
  auto [ours, theirs] = troupe::Pipe();
  Process parent(
      [](Connection pipe) {
        Process daemon([](Connection held) { held.send(1), held.recv<int>(); }, pipe, troupe::ProcessOptions{.daemon = true});
        daemon.start();
        daemon.join();
      },
      theirs);
  parent.start();
  theirs.close();
  CHECK(ours.recv<int>() == 1);
  parent.kill();
  CHECK_THROWS_AS(ours.recv<int>(), EndOfFile);  // the last who had it is gone
  parent.join();
}
