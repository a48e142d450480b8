#include <troupe/sync.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <mutex>
#include <thread>
#include <vector>

#include <troupe/process.h>
#include <troupe/queue.h>
#include <troupe/shared_value.h>

#include "handles_support.h"
#include "support/catch.h"
#include "support/leftovers.h"

using namespace std::chrono_literals;
using namespace troupe;
using namespace handles_test;

namespace {

void run_all(std::vector<Process>& processes) {
  for (auto& process : processes) process.start();
  for (auto& process : processes) {
    process.join();
    CHECK(process.exitcode() == 0);
  }
}

}  // namespace

TEST_CASE("a lock around a shared counter loses no update") {
  const test::Leftovers leftovers;
  Lock lock;
  RawValue<int> counter(0);
  Value<int> other(0);
  std::vector<Process> processes;
  for (int i = 0; i < 4; ++i) {
    processes.emplace_back(
        [](Lock guard, RawValue<int> one, Value<int> two) {
          for (int k = 0; k < 1000; ++k) {
            {
              const std::scoped_lock hold(guard);
              ++one.value();
            }
            const std::scoped_lock hold(two.get_lock());
            ++two.value();
          }
        },
        lock, counter, other);
  }
  run_all(processes);
  CHECK(counter.value() == 4000);
  CHECK(other.get() == 4000);
}

TEST_CASE("the next holder of a lock is told that its holder was killed") {
  const test::Leftovers leftovers;
  Lock lock;
  RLock rlock;
  Array<int> array{1, 2, 3};
  run(Process(
          [](Lock one, RLock two, Array<int> three) {
            one.lock(), two.lock(), two.lock(), three.get_lock().lock();
            three[1] = 20;
            die();
          },
          lock, rlock, array),
      -SIGKILL);
  CHECK(lock.acquire(true, 10s));
  CHECK(lock.abandoned());
  lock.release();
  CHECK(lock.acquire(false));
  CHECK_FALSE(lock.abandoned());
  lock.release();
  CHECK(rlock.acquire(true, 10s));
  CHECK(rlock.abandoned());
  rlock.release();
  CHECK_THROWS_AS(rlock.release(), NotHeld);
  CHECK(array.get_lock().acquire(true, 10s));
  CHECK(array.get_lock().abandoned());
  CHECK(array[1] == 20);
  CHECK_THROWS_AS(array.at(3), std::out_of_range);
}

TEST_CASE("one that waits for a lock gets it when its holder is killed") {
  const test::Leftovers leftovers;
  Lock lock;
  Event held;
  Process holder(
      [](Lock mine, Event has) {
        mine.lock();
        has.set();
        Event().wait();
      },
      lock, held);
  Process waiter([](Lock mine) { return mine.acquire() && mine.abandoned() ? 0 : 1; }, lock);
  holder.start();
  REQUIRE(held.wait(30s));
  waiter.start();
  holder.kill();
  waiter.join();
  CHECK(waiter.exitcode() == 0);
  holder.join();
}

TEST_CASE("permits of the killed come back") {
  const test::Leftovers leftovers;
  Semaphore permits(2);
  BoundedSemaphore bounded(1);
  run(Process(
          [](Semaphore one, BoundedSemaphore two) {
            one.acquire(), one.acquire(), two.acquire();
            die();
          },
          permits, bounded),
      -SIGKILL);
  CHECK(permits.get_value() == 2);
  CHECK(bounded.acquire(false));
  bounded.release();
  CHECK_THROWS_AS(bounded.release(), ReleasedTooOften);
  run(Process([](Semaphore one) { one.acquire(); }, permits));
  CHECK(permits.get_value() == 1);
}

TEST_CASE("twenty workers share five permits") {
  const test::Leftovers leftovers;
  Semaphore permits(5);
  RawArray<int> inside(1);
  Value<int> now(0), most(0);
  std::vector<Process> workers;
  for (int i = 0; i < 20; ++i) {
    workers.emplace_back(
        [](Semaphore permit, Value<int> count, Value<int> maximum) {
          for (int k = 0; k < 20; ++k) {
            const std::scoped_lock enter(permit);
            {
              const std::scoped_lock hold(count.get_lock(), maximum.get_lock());
              maximum.value() = std::max(maximum.value(), ++count.value());
            }
            const std::scoped_lock hold(count.get_lock());
            --count.value();
          }
        },
        permits, now, most);
  }
  run_all(workers);
  CHECK(now.get() == 0);
  CHECK(most.get() >= 1);
  CHECK(most.get() <= 5);
}

TEST_CASE("an event releases all who wait") {
  const test::Leftovers leftovers;
  Event go;
  std::vector<Process> waiters;
  for (int i = 0; i < 3; ++i) waiters.emplace_back([](Event event) { return event.wait(30s) ? 0 : 1; }, go);
  for (auto& waiter : waiters) waiter.start();
  CHECK_FALSE(go.is_set());
  go.set();
  for (auto& waiter : waiters) waiter.join();
  for (auto& waiter : waiters) CHECK(waiter.exitcode() == 0);
  go.clear();
  CHECK_FALSE(go.wait(0s));
}

TEST_CASE("a condition, with its own lock or another") {
  const test::Leftovers leftovers;
  Lock lock;
  for (const bool own : {true, false}) {
    Condition changed = own ? Condition() : Condition(lock);
    RawValue<int> stock(0);
    Process consumer(
        [](Condition condition, RawValue<int> count) {
          const std::scoped_lock hold(condition);
          if (!condition.wait_for([&] { return count.value() == 3; }, 30s)) return 1;
          count.value() = 0;
          condition.notify_all();
          return 0;
        },
        changed, stock);
    consumer.start();
    for (int i = 0; i < 3; ++i) {
      const std::scoped_lock hold(changed);
      ++stock.value();
      changed.notify();
    }
    {
      const std::scoped_lock hold(changed);
      CHECK(changed.wait_for([&] { return stock.value() == 0; }, 30s));
    }
    consumer.join();
    CHECK(consumer.exitcode() == 0);
    CHECK_THROWS_AS(changed.notify(), NotHeld);
  }
}

TEST_CASE("a barrier is passed by all, and broken by the death of one that was given it") {
  const test::Leftovers leftovers;
  Barrier barrier(3);
  std::vector<Process> parties;
  const auto pass = [](Barrier all) {
    for (int i = 0; i < 10; ++i) all.wait(30s);
  };
  for (int i = 0; i < 3; ++i) parties.emplace_back(pass, barrier);
  run_all(parties);

  Process survivor(
      [](Barrier all) {
        try {
          all.wait(30s);
        } catch (const BrokenBarrierError& error) {
          return error.culprit_name() == "culprit" && error.what() == std::string("barrier broken by the death of `culprit`") ? 0 : 1;
        }
        return 2;
      },
      barrier);
  survivor.start();
  run(Process([](Barrier) { die(); }, barrier, ProcessOptions{.name = "culprit"}), -SIGKILL);
  survivor.join();
  CHECK(survivor.exitcode() == 0);
  CHECK(barrier.broken());
  barrier.reset();
  CHECK_FALSE(barrier.broken());
  CHECK_THROWS_AS(barrier.wait(0s), BrokenBarrierError);
}

TEST_CASE("a barrier's action is run once a round, by the last party, before any goes on") {
  const test::Leftovers leftovers;
  static int rounds = 0;  // of this process, which is always the last
  int step = 2;
  Barrier barrier(3, [step] { rounds += step; }, 30s);
  std::vector<Process> parties;
  const auto pass = [](Barrier all) {
    for (int i = 1; i <= 10; ++i) all.wait();
  };
  for (int i = 0; i < 2; ++i) parties.emplace_back(pass, barrier).start();
  for (int i = 1; i <= 10; ++i) {
    while (barrier.n_waiting() < 2) std::this_thread::yield();
    CHECK(barrier.wait() == 2);
    CHECK(rounds == 2 * i);
  }
  for (Process& party : parties) party.join();
  CHECK(parties[0].exitcode() == 0);
  // It travels with the handle.
  Barrier ends(1, [] { std::_Exit(7); });
  run(Process([](Barrier all) { all.wait(); }, ends), 7);
}

TEST_CASE("an action that throws breaks the barrier of all") {
  const test::Leftovers leftovers;
  Barrier barrier(1, [] { throw std::runtime_error("no"); });
  CHECK_THROWS_WITH(barrier.wait(), "no");
  CHECK(barrier.broken());
}

TEST_CASE("locks travel in queues") {
  const test::Leftovers leftovers;
  Queue<std::tuple<Lock, RawValue<double>>> queue;
  Process worker(
      [](Queue<std::tuple<Lock, RawValue<double>>> from) {
        auto [lock, value] = from.get();
        const std::scoped_lock hold(lock);
        value.value() *= 2;
      },
      queue);
  worker.start();
  Lock lock;
  RawValue<double> value(1.5);
  queue.put({lock, value});
  worker.join();
  CHECK(worker.exitcode() == 0);
  CHECK(value.value() == 3);
}

TEST_CASE("a block of shared memory is seen by those who have a handle of it, and gone with the last") {
  const test::Leftovers leftovers;
  SharedMemory block(100'001);
  CHECK(block.size() == 100'001);
  CHECK(std::ranges::all_of(block.bytes(), [](std::byte byte) { return byte == std::byte{0}; }));
  CHECK(reinterpret_cast<std::uintptr_t>(block.bytes().data()) % 64 == 0);
  run(Process(
          [](SharedMemory memory) {
            if (memory.size() != 100'001) ::_exit(1);
            memory.bytes().back() = std::byte{7};
            memory.as<int>()[3] = 42;
            die();
          },
          block),
      -SIGKILL);
  CHECK(block.bytes().back() == std::byte{7});
  CHECK(block.as<int>()[3] == 42);
  CHECK(block.as<double>().size() == 12'500);
  CHECK_THROWS_AS(SharedMemory(0), std::invalid_argument);
  CHECK_THROWS_AS(SharedMemory(std::size_t{1} << 62), std::length_error);
}
