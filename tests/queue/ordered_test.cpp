#include "support/catch.h"

#include <sys/stat.h>

#include <atomic>
#include <thread>
#include <vector>

#include <troupe/errors.h>

#include "queue/recover.h"
#include "queue_support.h"

using namespace troupe;
using namespace troupe::queue;
using namespace queue_test;

namespace {

std::uint64_t next(SharedQueue& queue) {
  Bytes item;
  REQUIRE(queue.get(item, kNow) == GetResult::item);
  return read_item(item);
}

std::uint64_t memory_used(const QueueMemory& memory) {
  struct stat status {};
  REQUIRE(::fstat(memory.descriptor().get(), &status) == 0);
  return static_cast<std::uint64_t>(status.st_blocks) * 512;
}

}  // namespace

TEST_CASE("the item that was put last comes out first") {
  SharedQueue queue(make_memory({.items_max = 3, .order = Order::lifo}), 0);
  for (const std::uint64_t number : {1, 2, 3}) REQUIRE(queue.put(make_item(number), kNow) == PutResult::done);
  CHECK(queue.put(make_item(4), kNow) == PutResult::full);
  CHECK(next(queue) == 3);
  queue.put(make_item(5, 50'000), kNow);
  CHECK(next(queue) == 5);
  CHECK(next(queue) == 2);
  CHECK(next(queue) == 1);
  CHECK(queue.empty());
}

TEST_CASE("the item of lowest priority number comes out first, of equal ones the one that was put first") {
  SharedQueue queue(make_memory({.order = Order::priority}), 0);
  const std::uint64_t numbers[] = {7, 3, ~std::uint64_t{0}, 3, 0, 7, 3};
  for (std::size_t i = 0; i < std::size(numbers); ++i) queue.put(make_item(numbers[i], 20 + i), kNow);
  const std::pair<std::uint64_t, std::size_t> expected[] = {{0, 24}, {3, 21}, {3, 23}, {3, 26}, {7, 20}, {7, 25}, {~std::uint64_t{0}, 22}};
  Bytes item;
  for (const auto& [number, size] : expected) {
    REQUIRE(queue.get(item, kNow) == GetResult::item);
    CHECK(read_item(item) == number);
    CHECK(item.size() == size);
  }
  CHECK_THROWS_AS(queue.put(Bytes(7), kNow), std::length_error);
  CHECK_THROWS_AS(make_memory({.overflow = Overflow::drop_oldest, .order = Order::priority}), ConfigError);
}

TEST_CASE("what a dead consumer had leased comes back to its old place") {
  const auto memory = make_memory({.order = Order::priority});
  SharedQueue queue(memory, 0);
  Bytes item;
  Lease lease;
  {
    SharedQueue dead(memory, 1);
    for (const std::uint64_t number : {2, 5}) queue.put(make_item(number), kNow);
    for (int i = 0; i < 2; ++i) REQUIRE(dead.lease(item, lease, kNow) == GetResult::item);
  }
  for (const std::uint64_t number : {1, 3}) queue.put(make_item(number), kNow);
  recover(*memory, 1);
  CHECK(queue.size() == 4);
  for (const std::uint64_t number : {1, 2, 3, 5}) CHECK(next(queue) == number);
}

TEST_CASE("who has a deadline does not wait for the lock of a stopped process for longer") {
  for (const Order order : {Order::lifo, Order::priority}) {
    const auto memory = make_memory({.order = order});
    SharedQueue queue(memory, 0);
    queue.put(make_item(1), kNow);
    shared::KeptLock::User stopped(memory->control().put.lock, 1);
    shared::Held held(stopped, Clock::time_point::max());  // and there its process is stopped
    const auto soon = Clock::now() + std::chrono::milliseconds(5);
    Bytes item;
    CHECK(queue.ready(kNow));
    CHECK(queue.get(item, soon) == GetResult::empty);
    CHECK_FALSE(queue.join(soon));
    queue.pass_on();
    memory->control().leases.look.store(1);  // somebody died: now nothing is known without the lock
    CHECK_FALSE(queue.ready(kNow));
    CHECK_FALSE(queue.ready(soon));
    CHECK_FALSE(queue.join(soon));
    queue.pass_on();
    held.release();
    CHECK(queue.ready(kNow));
    CHECK(next(queue) == 1);
  }
}

TEST_CASE("with another order, too, many items leave no memory behind") {
  for (const Order order : {Order::lifo, Order::priority}) {
    const auto memory = make_memory({.order = order});
    SharedQueue queue(memory, 0);
    constexpr std::uint64_t kMany = 200'000;
    for (std::uint64_t i = 0; i < kMany; ++i) queue.put(make_item(i * 7919 % kMany, 64), kNow);
    CHECK(queue.size() == kMany);
    CHECK(memory_used(*memory) < kMany * 270);
    for (std::uint64_t i = 0; i < kMany - 1; ++i) static_cast<void>(next(queue));
    if (order == Order::lifo) CHECK(memory_used(*memory) <= kMany * 270 / 4 + (1 << 20));  // the last ones lie in the first entries
    static_cast<void>(next(queue));
    CHECK(memory_used(*memory) <= 1 << 20);
    queue.put(make_item(1), kNow);
    CHECK(next(queue) == 1);
  }
}

TEST_CASE("memory goes back also when the queue is never quite empty") {
  const auto memory = make_memory({.order = Order::priority});
  SharedQueue queue(memory, 0);
  constexpr std::uint64_t kMany = 20'000;
  for (std::uint64_t i = 0; i < kMany; ++i) queue.put(make_item(i, 64), kNow);
  for (std::uint64_t i = 0; i < kMany - 10; ++i) static_cast<void>(next(queue));
  for (std::uint64_t i = 0; i < 2 * kMany; ++i) {
    queue.put(make_item(kMany + i, 64), kNow);
    static_cast<void>(next(queue));
  }
  CHECK(queue.size() == 10);
  CHECK(memory_used(*memory) <= 1 << 20);
}

TEST_CASE("producers and consumers in threads pass every item of an ordered queue once") {
  for (const Order order : {Order::lifo, Order::priority}) {
    const auto memory = make_memory({.items_max = 8, .order = order});
    constexpr std::uint64_t kEach = 2'000;
    std::vector<std::atomic<int>> seen(2 * kEach);
    const auto produce = [&](std::uint32_t slot) {
      SharedQueue queue(memory, slot);
      for (std::uint64_t i = 0; i < kEach; ++i) queue.put(make_item(slot * kEach + i, i % 50 == 0 ? 300 : 16));
    };
    const auto consume = [&](std::uint32_t slot) {
      SharedQueue queue(memory, slot);
      Bytes item;
      Lease lease;
      for (int round = 0;; ++round) {
        const bool leased = round % 2 == 0;
        if ((leased ? queue.lease(item, lease) : queue.get(item)) != GetResult::item) return;
        if (leased && round % 6 == 0) {
          queue.give_back(lease);
          continue;
        }
        ++seen[read_item(item)];
        if (leased) queue.acknowledge(lease);
      }
    };
    std::vector<std::thread> producers, consumers;
    for (const std::uint32_t slot : {0, 1}) producers.emplace_back(produce, slot);
    for (const std::uint32_t slot : {2, 3}) consumers.emplace_back(consume, slot);
    for (auto& thread : producers) thread.join();
    SharedQueue queue(memory, 4);
    CHECK(queue.join());
    queue.close();
    for (auto& thread : consumers) thread.join();
    CHECK(std::all_of(seen.begin(), seen.end(), [](const auto& count) { return count == 1; }));
    CHECK(queue.counts().put == queue.counts().taken);
  }
}
