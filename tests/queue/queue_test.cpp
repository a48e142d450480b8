#include "support/catch.h"

#include <sys/stat.h>

#include <array>
#include <atomic>
#include <chrono>
#include <ctime>
#include <thread>
#include <vector>

#include <troupe/errors.h>

#include "queue/recover.h"
#include "queue_support.h"

using namespace troupe;
using namespace troupe::queue;
using namespace queue_test;

TEST_CASE("items come out in the order in which they went in") {
  SharedQueue queue(make_memory({.items_max = 100}), 0);
  for (std::uint64_t i = 0; i < 100; ++i) REQUIRE(queue.put(make_item(i, 8 + i)) == PutResult::done);
  CHECK(queue.size() == 100);
  CHECK(queue.full());
  CHECK(queue.put(make_item(100), kNow) == PutResult::full);
  Bytes item;
  for (std::uint64_t i = 0; i < 100; ++i) {
    REQUIRE(queue.get(item) == GetResult::item);
    CHECK(item.size() == 8 + i);
    CHECK(read_item(item) == i);
  }
  CHECK(queue.empty());
  CHECK(queue.get(item, kNow) == GetResult::empty);
}

TEST_CASE("an item may be empty, or as large as the largest") {
  SharedQueue queue(make_memory({.memory_max = 1 << 20}), 0);
  REQUIRE(queue.item_size_max() == 1 << 20);
  for (const std::size_t size : {std::size_t{0}, std::size_t{8184}, std::size_t{8185}, std::size_t{16384}, std::size_t{16385}, std::size_t{1} << 20}) {
    Bytes item, expected = size == 0 ? Bytes{} : make_item(size, size);
    REQUIRE(queue.put(expected) == PutResult::done);
    REQUIRE(queue.get(item, kNow) == GetResult::item);
    CHECK(item == expected);
  }
  CHECK_THROWS_AS(queue.put(Bytes((1 << 20) + 1)), std::length_error);
  CHECK(Blocks::used(*make_memory({})) == 0);
}

TEST_CASE("a million items leave no memory behind") {
  const auto memory = make_memory({});
  SharedQueue queue(memory, 0);
  const Bytes item = make_item(1, 64);
  for (int i = 0; i < 1'000'000; ++i) if (queue.put(item, kNow) != PutResult::done) FAIL();
  CHECK(queue.size() == 1'000'000);
  const auto used = [&] {
    struct stat status {};
    REQUIRE(::fstat(memory->descriptor().get(), &status) == 0);
    return static_cast<std::uint64_t>(status.st_blocks) * 512;
  };
  CHECK(used() < 1'000'000 * (64 + 16) + (1 << 20));
  Bytes got;
  for (int i = 0; i < 1'000'000; ++i) if (queue.get(got, kNow) != GetResult::item) FAIL();
  CHECK(used() <= 1 << 20);
}

TEST_CASE("a closed queue is drained, then it ends") {
  SharedQueue queue(make_memory({}), 0);
  queue.put(make_item(1));
  queue.close();
  CHECK(queue.closed());
  CHECK(queue.put(make_item(2)) == PutResult::closed);
  Bytes item;
  CHECK(queue.get(item) == GetResult::item);
  CHECK(queue.get(item) == GetResult::ended);
}

TEST_CASE("a leased item comes back from a user that died, with a count, and is a dead letter after too many") {
  const auto memory = make_memory({.deliveries_max = 2});
  SharedQueue queue(memory, 0), other(memory, 1);
  for (std::uint64_t i = 1; i <= 3; ++i) queue.put(make_item(i, i == 2 ? 20'000 : 8));
  Bytes item;
  Lease lease;
  for (std::uint64_t i = 1; i <= 2; ++i) {
    REQUIRE(other.lease(item, lease) == GetResult::item);
    CHECK(lease.deliveries() == 1);
    CHECK(read_item(item) == i);
  }
  CHECK(queue.counts().leased == 2);
  recover(*memory, 1);
  CHECK(queue.size() == 3);
  for (std::uint64_t i = 1; i <= 2; ++i) {
    REQUIRE(other.lease(item, lease) == GetResult::item);
    CHECK(lease.deliveries() == 2);
    CHECK(read_item(item) == i);
  }
  CHECK(other.acknowledge(lease));
  CHECK_FALSE(other.acknowledge(lease));
  recover(*memory, 1);
  CHECK(queue.counts().dead == 1);
  CHECK(queue.size() == 1);
  REQUIRE(queue.take_dead_letter(item, lease));
  CHECK(read_item(item) == 1);
  CHECK(queue.acknowledge(lease));
  CHECK_FALSE(queue.take_dead_letter(item, lease));
  REQUIRE(queue.get(item, kNow) == GetResult::item);
  CHECK(read_item(item) == 3);
  CHECK(Blocks::used(*memory) == 0);
  CHECK(queue.join(kNow));
}

TEST_CASE("policies for what does not fit") {
  const auto put_three = [](Overflow overflow) {
    auto queue = std::make_unique<SharedQueue>(make_memory({.items_max = 2, .overflow = overflow}), 0);
    queue->put(make_item(1));
    queue->put(make_item(2));
    return queue;
  };
  const auto left = [](SharedQueue& queue) {
    std::vector<std::uint64_t> numbers;
    for (Bytes item; queue.get(item, kNow) == GetResult::item;) numbers.push_back(read_item(item));
    return numbers;
  };
  auto failing = put_three(Overflow::fail);
  CHECK(failing->put(make_item(3)) == PutResult::full);
  CHECK(left(*failing) == std::vector<std::uint64_t>{1, 2});
  auto newest = put_three(Overflow::drop_newest);
  CHECK(newest->put(make_item(3)) == PutResult::dropped);
  CHECK(newest->counts().dropped_newest == 1);
  CHECK(left(*newest) == std::vector<std::uint64_t>{1, 2});
  auto oldest = put_three(Overflow::drop_oldest);
  CHECK(oldest->put(make_item(3)) == PutResult::done);
  CHECK(oldest->counts().dropped_oldest == 1);
  CHECK(left(*oldest) == std::vector<std::uint64_t>{2, 3});
}

TEST_CASE("who waits is woken by an item, by room, by the end, by the last lease, by the deadline") {
  const auto memory = make_memory({.items_max = 1});
  SharedQueue queue(memory, 0), other(memory, 1);
  Bytes item;
  CHECK(queue.get(item, deadline_after(std::chrono::milliseconds(1))) == GetResult::empty);
  {
    std::thread getter([&] { CHECK(other.get(item) == GetResult::item); });
    queue.put(make_item(1));
    getter.join();
  }
  queue.put(make_item(2));
  CHECK(queue.put(make_item(3), deadline_after(std::chrono::milliseconds(1))) == PutResult::full);
  {
    std::thread putter([&] { CHECK(other.put(make_item(3)) == PutResult::done); });
    CHECK(queue.get(item) == GetResult::item);
    putter.join();
  }
  Lease lease;
  REQUIRE(queue.lease(item, lease) == GetResult::item);
  CHECK_FALSE(other.join(deadline_after(std::chrono::milliseconds(1))));
  {
    std::thread joiner([&] { CHECK(other.join()); });
    queue.acknowledge(lease);
    joiner.join();
  }
  queue.put(make_item(4));
  REQUIRE(queue.lease(item, lease) == GetResult::item);
  queue.close();
  Bytes others_item;
  CHECK(other.get(others_item, deadline_after(std::chrono::milliseconds(1))) == GetResult::empty);
  CHECK(queue.get(others_item) == GetResult::ended);  // it holds the lease itself
  std::thread getter([&] { CHECK(other.get(others_item) == GetResult::ended); });
  queue.acknowledge(lease);
  getter.join();
}

TEST_CASE("large items are got, by several at once, and dropped, though all leases are taken") {
  constexpr std::uint64_t kItems = 200;
  const auto memory = make_memory({.items_max = kItems, .overflow = Overflow::drop_oldest, .leases_max = 1});
  SharedQueue queue(memory, 0);
  Bytes item;
  Lease lease, refused;
  REQUIRE(queue.put(make_item(0)) == PutResult::done);
  REQUIRE(queue.lease(item, lease) == GetResult::item);
  for (std::uint64_t i = 0; i <= kItems; ++i) REQUIRE(queue.put(make_item(i, 20'000)) == PutResult::done);
  CHECK(queue.counts().dropped_oldest == 1);
  CHECK_THROWS_AS(queue.lease(item, refused, kNow), std::length_error);
  queue.close();
  std::array<std::atomic<int>, kItems + 1> got{};
  std::vector<std::thread> consumers;
  for (std::uint32_t slot = 1; slot <= 3; ++slot) {
    consumers.emplace_back([&, slot] {
      SharedQueue mine(memory, slot);
      Bytes bytes;
      while (mine.get(bytes, kNow) == GetResult::item) ++got[read_item(bytes)];
    });
  }
  for (auto& consumer : consumers) consumer.join();
  for (std::uint64_t i = 0; i <= kItems; ++i) CHECK(got[i] == (i == 0 ? 0 : 1));
  CHECK(Blocks::used(*memory) == 0);
  CHECK(queue.acknowledge(lease));
}

namespace {

std::uint64_t memory_of(const QueueMemory& memory) {
  struct stat status {};
  REQUIRE(::fstat(memory.descriptor().get(), &status) == 0);
  return static_cast<std::uint64_t>(status.st_blocks) * 512;
}

// Some segments' worth of small items, some of them leased all at once, and large ones.
void put_and_get(SharedQueue& queue) {
  for (std::uint64_t i = 0; i < 5'000; ++i) queue.put(make_item(i, i % 100 == 0 ? 20'000 : 100));
  Items items;
  std::vector<Lease> leases;
  Bytes item;
  while (queue.lease_many(items, leases, 64, kNow) == GetResult::item) {
    for (const Lease& lease : leases) queue.acknowledge(lease);
  }
}

constexpr std::uint64_t kSegment = 64 << 10;
constexpr std::uint64_t kIndex = 32 << 10;  // where segments, blocks and leases are; of another order, some entries

}  // namespace

TEST_CASE("who finds a queue's end gives back all the memory that was kept for more items") {
  for (const Order order : {Order::fifo, Order::lifo, Order::priority}) {
    const auto memory = make_memory({.order = order});
    SharedQueue queue(memory, 0);
    const std::uint64_t before = memory_of(*memory);
    put_and_get(queue);
    CHECK(memory_of(*memory) > before + 2 * kSegment);
    queue.close();
    Bytes item;
    CHECK(queue.get(item) == GetResult::ended);
    CHECK(memory_of(*memory) <= before + kIndex);
  }
}

TEST_CASE("who waits for long gives back all of it but one segment, and the queue goes on") {
  for (const Order order : {Order::fifo, Order::lifo, Order::priority}) {
    const auto memory = make_memory({.order = order});
    SharedQueue queue(memory, 0), other(memory, 1);
    const std::uint64_t before = memory_of(*memory);
    put_and_get(queue);
    std::thread consumer([&] {
      Bytes item;
      for (std::uint64_t i = 0; other.get(item) == GetResult::item; ++i) CHECK(read_item(item) == i);
    });
    const auto deadline = deadline_after(std::chrono::seconds(20));
    while (memory_of(*memory) > before + kSegment + kIndex && Clock::now() < deadline) std::this_thread::yield();
    CHECK(memory_of(*memory) <= before + kSegment + kIndex);
    for (std::uint64_t i = 0; i < 3; ++i) {
      queue.put(make_item(i, i == 1 ? 20'000 : 100));
      while (!queue.empty()) std::this_thread::yield();
    }
    queue.close();
    consumer.join();
  }
}

TEST_CASE("who waits for more room than there is sleeps") {
  SharedQueue queue(make_memory({.bytes_max = 100}), 0);
  REQUIRE(queue.put(make_item(1, 60)) == PutResult::done);
  // The time that this thread has used, not the time that has passed.
  const auto used = [] {
    timespec time{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
  };
  const auto before = used();
  constexpr auto kWait = std::chrono::milliseconds(200);
  CHECK(queue.put(make_item(2, 60), deadline_after(kWait)) == PutResult::full);
  CHECK(used() - before < kWait / 2);
}

TEST_CASE("a descriptor of anything else is no queue") {
  CHECK_THROWS_AS(QueueMemory(os::make_shared_memory("test", 4096)), ProtocolError);
  CHECK_THROWS_AS(QueueMemory(os::make_sparse_memory("test", 1 << 20)), ProtocolError);
  CHECK_THROWS_AS(QueueMemory::create({.users_max = 0}), ConfigError);
  CHECK_THROWS_AS(QueueMemory::create({.leases_max = 0}), ConfigError);
  CHECK_THROWS_AS(QueueMemory::create({.memory_max = 1}), ConfigError);
  CHECK_THROWS_AS(QueueMemory::create({.memory_max = ~std::uint64_t{0}}), ConfigError);
}
