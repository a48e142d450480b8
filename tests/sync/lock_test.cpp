#include "sync/lock.h"

#include <chrono>
#include <mutex>
#include <new>

#include "support/catch.h"
#include "sync/memory.h"

using namespace std::chrono_literals;
using namespace troupe::sync;
using troupe::test::await;
using troupe::test::memory_of;

TEST_CASE("a Lock is acquired once, whoever asks") {
  const auto memory = memory_of<Lock>(4U);
  Lock mine(memory, 0);
  Lock other(memory, 1);
  CHECK_FALSE(mine.locked());
  CHECK(mine.acquire());
  CHECK(mine.locked());
  CHECK(mine.held_by_me());
  CHECK(other.holder() == 0U);
  CHECK_FALSE(other.held_by_me());
  CHECK_FALSE(other.acquire(false));
  CHECK_FALSE(other.acquire(true, 1ms));
  CHECK_FALSE(other.acquire(true, -1s));  // as in multiprocessing: a negative time-out is none
  CHECK_FALSE(mine.acquire(false));       // not recursive
  mine.release();
  CHECK(other.acquire(true, 0s));
  other.release();
}

TEST_CASE("a Lock may be released by another, but not when it is free") {
  const auto memory = memory_of<Lock>(4U);
  Lock mine(memory, 0);
  Lock other(memory, 1);
  mine.acquire();
  other.release();
  CHECK_FALSE(mine.locked());
  CHECK_THROWS_AS(mine.release(), NotHeld);
}

TEST_CASE("locks work with the standard guards") {
  const auto memory = memory_of<Lock>(4U);
  const auto recursive_memory = memory_of<RLock>(4U);
  Lock lock(memory, 0);
  RLock recursive(recursive_memory, 0);
  {
    const std::scoped_lock both(lock, recursive);
    CHECK(lock.locked());
    CHECK(recursive.locked());
    const std::unique_lock not_again(lock, std::try_to_lock);
    CHECK_FALSE(not_again.owns_lock());
    const std::unique_lock again(recursive, std::try_to_lock);
    CHECK(again.owns_lock());
  }
  CHECK_FALSE(lock.locked());
  CHECK_FALSE(recursive.locked());
}

TEST_CASE("an RLock belongs to a thread, which releases it as often as it acquired it") {
  const auto memory = memory_of<RLock>(4U);
  RLock lock(memory, 0);
  CHECK(lock.acquire());
  CHECK(lock.acquire());
  CHECK(lock.acquire(false));
  std::thread([&] {
    CHECK_FALSE(lock.acquire(false));
    CHECK_FALSE(lock.held_by_me());
    CHECK_THROWS_AS(lock.release(), NotHeld);
  }).join();
  RLock other(memory, 1);
  CHECK_THROWS_AS(other.release(), NotHeld);
  lock.release();
  lock.release();
  CHECK_FALSE(other.acquire(false));
  lock.release();
  CHECK(other.acquire(false));
  CHECK_THROWS_AS(lock.release(), NotHeld);
  other.release();
  CHECK_THROWS_AS(other.release(), NotHeld);
}

TEST_CASE("who waits for a lock stands in it") {
  const auto memory = memory_of<Lock>(4U);
  Lock mine(memory, 0);
  mine.acquire();
  std::thread waiter([&] {
    Lock lock(memory, 2);
    const std::scoped_lock hold(lock);
  });
  await([&] { return !mine.waits().empty(); });
  const auto waits = mine.waits();
  REQUIRE(waits.size() == 1);
  CHECK(waits[0].waiter == 2);
  CHECK(waits[0].holder == 0);
  mine.release();
  waiter.join();
  CHECK(mine.waits().empty());
}

TEST_CASE("a lock passes from the dead to the next, who is told") {
  const auto memory = memory_of<RLock>(4U);
  RLock dead(memory, 1);
  RLock next(memory, 2);
  RLock root(memory, troupe::shared::kRootSlot);
  dead.acquire();
  dead.acquire();
  root.recover(0);
  CHECK(next.holder() == 1U);
  root.recover(1);
  CHECK_FALSE(next.locked());
  REQUIRE(next.acquire(false));
  CHECK(next.abandoned());
  next.acquire();
  next.release();
  CHECK(next.abandoned());
  next.release();
  next.acquire();
  CHECK_FALSE(next.abandoned());
  root.recover(1);
  CHECK(next.held_by_me());
}
