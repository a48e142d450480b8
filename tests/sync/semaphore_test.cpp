#include "sync/semaphore.h"

#include <chrono>
#include <new>
#include <thread>

#include <troupe/errors.h>

#include "support/catch.h"
#include "sync/memory.h"

using namespace std::chrono_literals;
using namespace troupe::sync;
using troupe::shared::kRootSlot;
using troupe::test::await;
using troupe::test::memory_of;
using troupe::test::SharedMemory;

namespace {

template <class Kind>
SharedMemory semaphore_of(std::uint32_t value) {
  SharedMemory memory(Kind::memory_size(4));
  Kind::format(memory, 4, value);
  return memory;
}

}  // namespace

TEST_CASE("a Semaphore has as many permits as it says") {
  const auto memory = semaphore_of<Semaphore>(2);
  Semaphore mine(memory, 0);
  Semaphore other(memory, 1);
  CHECK(mine.get_value() == 2);
  CHECK(mine.acquire());
  CHECK(other.acquire(false));
  CHECK(mine.get_value() == 0);
  CHECK_FALSE(mine.acquire(false));
  CHECK_FALSE(mine.acquire(true, 1ms));
  CHECK(mine.held_by(0) == 1);
  CHECK(mine.held_by(1) == 1);
  other.release();
  CHECK(mine.acquire(true, 0s));
  CHECK(mine.held_by(0) == 2);
  mine.release(2);
  CHECK(mine.get_value() == 2);
  CHECK_THROWS_AS(mine.release(0), std::invalid_argument);
}

TEST_CASE("a Semaphore grows, a BoundedSemaphore does not") {
  const auto memory = semaphore_of<Semaphore>(0);
  Semaphore semaphore(memory, 0);
  semaphore.release(3);
  CHECK(semaphore.get_value() == 3);
  CHECK_THROWS_AS(semaphore.release(2147483647), std::overflow_error);
  CHECK(semaphore.get_value() == 3);

  const auto bounded_memory = semaphore_of<BoundedSemaphore>(2);
  BoundedSemaphore bounded(bounded_memory, 0);
  CHECK_THROWS_AS(bounded.release(), ReleasedTooOften);
  bounded.acquire();
  CHECK_THROWS_AS(bounded.release(2), ReleasedTooOften);
  bounded.release();
  CHECK(bounded.get_value() == 2);
  CHECK_THROWS_AS(BoundedSemaphore(memory, 0), troupe::ProtocolError);
}

TEST_CASE("releasing n permits wakes n who wait") {
  const auto memory = semaphore_of<Semaphore>(0);
  Semaphore semaphore(memory, 0);
  std::vector<std::thread> waiters;
  for (Slot slot = 1; slot < 4; ++slot) {
    waiters.emplace_back([&, slot] { Semaphore(memory, slot).acquire(); });
  }
  await([&] { return semaphore.n_waiting() == 3; });
  semaphore.release(3);
  for (auto& waiter : waiters) waiter.join();
  CHECK(semaphore.get_value() == 0);
  CHECK(semaphore.n_waiting() == 0);
}

TEST_CASE("permits of the dead come back; those of one that finished are used up") {
  const auto memory = semaphore_of<Semaphore>(3);
  Semaphore root(memory, kRootSlot);
  Semaphore(memory, 1).acquire();
  Semaphore(memory, 1).acquire();
  Semaphore(memory, 2).acquire();
  CHECK(root.get_value() == 0);
  root.recover(1, End::died);
  CHECK(root.recovered(1));
  CHECK(root.get_value() == 2);
  root.recover(1, End::died);
  CHECK(root.get_value() == 2);
  root.recover(2, End::finished);
  CHECK(root.get_value() == 2);
  Semaphore(memory, 2).release();  // whoever has the slot now held none, nor did anybody else: a new one
  CHECK(root.get_value() == 3);
}

TEST_CASE("a permit released by another is not given back twice") {
  const auto memory = semaphore_of<BoundedSemaphore>(2);
  BoundedSemaphore root(memory, kRootSlot);
  BoundedSemaphore(memory, 1).acquire();
  BoundedSemaphore(memory, 2).release();
  CHECK(root.get_value() == 2);
  root.recover(1, End::died);
  CHECK(root.get_value() == 2);
  BoundedSemaphore(memory, 1).acquire();
  root.recover(1, End::finished);  // a bound is a bound
  CHECK(root.get_value() == 2);
}
