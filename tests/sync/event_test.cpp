#include "sync/event.h"

#include <chrono>
#include <new>

#include "support/catch.h"
#include "sync/memory.h"

using namespace std::chrono_literals;
using namespace troupe::sync;
using troupe::test::await;
using troupe::test::memory_of;

TEST_CASE("an Event is set and cleared") {
  const auto memory = memory_of<Event>(4U);
  Event event(memory, 0);
  CHECK_FALSE(event.is_set());
  CHECK_FALSE(event.wait(0s));
  CHECK_FALSE(event.wait(1ms));
  event.set();
  event.set();
  CHECK(event.is_set());
  CHECK(event.wait());
  CHECK(Event(memory, 1).wait(0s));
  event.clear();
  event.clear();
  CHECK_FALSE(event.is_set());
  CHECK_FALSE(event.wait(0s));
}

TEST_CASE("all who wait for an Event are released, even if it is cleared at once") {
  const auto memory = memory_of<Event>(4U);
  Event event(memory, 0);
  std::vector<std::thread> waiters;
  std::atomic<int> released = 0;
  for (Slot slot = 1; slot < 4; ++slot) {
    waiters.emplace_back([&, slot] {
      Event mine(memory, slot);
      for (int round = 0; round < 100; ++round) {
        while (!mine.wait(10s)) {
        }
        ++released;
        await([&] { return released.load() >= 3 * (round + 1); });
      }
    });
  }
  for (int round = 0; round < 100; ++round) {
    while (released.load() < 3 * (round + 1)) {
      event.set();
      event.clear();
      std::this_thread::yield();
    }
  }
  for (auto& waiter : waiters) waiter.join();
  CHECK(released == 300);
}
