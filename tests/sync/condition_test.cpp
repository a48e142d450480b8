#include "sync/condition.h"

#include <chrono>
#include <mutex>
#include <new>
#include <thread>

#include <troupe/errors.h>

#include "support/catch.h"
#include "sync/memory.h"
#include "sync/recover.h"

using namespace std::chrono_literals;
using namespace troupe::sync;
using troupe::shared::kRootSlot;
using troupe::test::await;
using troupe::test::memory_of;
using troupe::test::SharedMemory;

namespace {

// Threads that wait, in order of their slots, and note in which order they were notified.
struct Waiters {
  explicit Waiters(const SharedMemory& memory, Slot count) {
    const Condition watch(memory, kRootSlot);
    for (Slot slot = 1; slot <= count; ++slot) {
      threads.emplace_back([this, &memory, slot] {
        Condition condition(memory, slot);
        const std::scoped_lock hold(condition);
        if (condition.wait()) order.push_back(slot);
      });
      await([&] { return watch.n_waiting() == slot; });
    }
  }
  void join() {
    for (auto& thread : threads) thread.join();
  }
  std::vector<std::thread> threads;
  std::vector<Slot> order;  // under the condition's lock
};

}  // namespace

TEST_CASE("a Condition is waited for and notified under its lock only") {
  const auto memory = memory_of<Condition>(4U, 4U);
  Condition condition(memory, 0);
  CHECK_THROWS_AS(condition.wait(), NotHeld);
  CHECK_THROWS_AS(condition.notify(), NotHeld);
  CHECK_THROWS_AS(condition.notify_all(), NotHeld);
  CHECK_THROWS_AS(condition.release(), NotHeld);
  CHECK(condition.acquire());
  std::thread([&] { CHECK_THROWS_AS(condition.notify(), NotHeld); }).join();
  condition.notify();  // nobody waits
  CHECK_FALSE(condition.wait(0s));
  CHECK_FALSE(condition.wait(1ms));
  condition.release();
}

TEST_CASE("wait() gives up the lock, however often it was acquired, and has it again as often") {
  const auto memory = memory_of<Condition>(4U, 4U);
  Condition condition(memory, 0);
  condition.acquire();
  condition.acquire();
  std::thread other([&] {
    Condition mine(memory, 1);
    const std::scoped_lock hold(mine);
    mine.notify();
  });
  CHECK(condition.wait());
  other.join();
  condition.release();
  CHECK_FALSE(Condition(memory, 2).acquire(false));
  condition.release();
  CHECK(Condition(memory, 2).acquire(false));
}

TEST_CASE("notify(n) releases the n that wait longest") {
  const auto memory = memory_of<Condition>(8U, 8U);
  Condition condition(memory, 0);
  Waiters waiters(memory, 5);
  const auto notify = [&](std::uint32_t n, std::size_t released) {
    {
      const std::scoped_lock hold(condition);
      condition.notify(n);
    }
    await([&] {
      const std::scoped_lock hold(condition);
      return waiters.order.size() == released;
    });
  };
  notify(0, 0);
  notify(1, 1);
  CHECK(waiters.order == std::vector<Slot>{1});
  notify(2, 3);
  CHECK(condition.n_waiting() == 2);
  {
    const std::scoped_lock hold(condition);
    condition.notify_all();
  }
  waiters.join();
  CHECK(waiters.order.size() == 5);
}

TEST_CASE("who gave up is not notified in place of others") {
  const auto memory = memory_of<Condition>(4U, 4U);
  Condition condition(memory, 0);
  std::thread early([&] {
    Condition mine(memory, 3);
    const std::scoped_lock hold(mine);
    CHECK_FALSE(mine.wait(1ms));
  });
  early.join();
  Waiters waiters(memory, 1);
  {
    const std::scoped_lock hold(condition);
    condition.notify();
  }
  waiters.join();
  CHECK(waiters.order == std::vector<Slot>{1});
}

TEST_CASE("wait_for looks at its predicate under the lock, first and last") {
  const auto memory = memory_of<Condition>(4U, 4U);
  Condition condition(memory, 0);
  int looks = 0;
  const std::scoped_lock hold(condition);
  CHECK(condition.wait_for([&] { return ++looks == 1; }));
  CHECK(looks == 1);
  CHECK_FALSE(condition.wait_for([&] { return ++looks == 0; }, 1ms));
  CHECK(looks == 3);
  int stock = 0;
  std::thread producer([&] {
    Condition mine(memory, 1);
    for (int i = 0; i < 3; ++i) {
      const std::scoped_lock mine_held(mine);
      ++stock;
      mine.notify();
    }
  });
  CHECK(condition.wait_for([&] { return stock == 3; }));
  producer.join();
}

TEST_CASE("conditions may share a lock, also one that is not recursive") {
  const auto lock_memory = memory_of<Lock>(4U);
  const auto full_memory = memory_of<Condition>(4U, 4U);
  const auto empty_memory = memory_of<Condition>(4U, 4U);
  int items = 0;
  const auto user = [&](Slot me, int step) {
    Lock lock(lock_memory, me);
    Condition full(full_memory, me, lock);
    Condition empty(empty_memory, me, lock);
    for (int i = 0; i < 1000; ++i) {
      const std::scoped_lock hold(lock);
      (step > 0 ? empty : full).wait_for([&] { return step > 0 ? items == 0 : items == 1; });
      items += step;
      (step > 0 ? full : empty).notify();
    }
  };
  std::thread producer([&] { user(0, 1); });
  user(1, -1);
  producer.join();
  CHECK(items == 0);
}

TEST_CASE("when all seats are taken, waiting is an error") {
  const auto memory = memory_of<Condition>(4U, 1U);
  Condition condition(memory, 0);
  Waiters waiters(memory, 1);
  {
    const std::scoped_lock hold(condition);
    CHECK_THROWS_AS(condition.wait(), troupe::SystemError);
    condition.notify_all();
  }
  waiters.join();
}

TEST_CASE("when the holder of the lock dies, all look again, the first of them told why") {
  const bool lock_first = GENERATE(true, false);
  const bool lock_known = GENERATE(true, false);
  const auto lock_memory = memory_of<Lock>(8U);
  const auto memory = memory_of<Condition>(8U, 8U);
  Lock dead(lock_memory, 1);
  const Condition watch(memory, kRootSlot);
  int told = 0;
  int abandoned = 0;
  std::vector<std::thread> waiters;
  for (Slot slot = 2; slot < 5; ++slot) {
    waiters.emplace_back([&, slot] {
      Lock lock(lock_memory, slot);
      Condition condition(memory, slot, lock);
      const std::scoped_lock hold(lock);
      told += condition.wait() ? 1 : 0;
      abandoned += lock.abandoned() ? 1 : 0;
    });
  }
  await([&] { return watch.n_waiting() == 3; });
  dead.acquire();
  Lock root_lock(lock_memory, kRootSlot);
  Condition root(memory, kRootSlot, root_lock);
  if (lock_first) root_lock.recover(1);
  lock_known ? root.recover(1) : recover(memory, 1);
  if (!lock_first) root_lock.recover(1);
  for (auto& waiter : waiters) waiter.join();
  CHECK(told == 3);
  CHECK(abandoned == 1);
  if (!lock_known) return;
  // Told once is enough.
  std::thread waiter([&] {
    Lock lock(lock_memory, 2);
    Condition condition(memory, 2, lock);
    const std::scoped_lock hold(lock);
    told += condition.wait(20ms) ? 1 : 0;
  });
  await([&] { return watch.n_waiting() == 1; });
  root.recover(1);
  waiter.join();
  CHECK(told == 3);
}
