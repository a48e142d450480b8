#include "sync/wait_graph.h"

#include <mutex>
#include <new>
#include <thread>

#include "support/catch.h"
#include "sync/memory.h"

using namespace troupe::sync;
using troupe::shared::kRootSlot;
using troupe::test::await;
using troupe::test::memory_of;

namespace {

std::vector<std::uint64_t> waiters_of(const Circle& circle) {
  std::vector<std::uint64_t> waiters;
  for (const Edge& edge : circle) waiters.push_back(edge.waiter);
  return waiters;
}

}  // namespace

TEST_CASE("circles are found, chains are not") {
  using Waiters = std::vector<std::uint64_t>;
  CHECK(find_circles({}).empty());
  CHECK(find_circles(std::vector<Edge>{{1, 10, 2, 0}, {2, 11, 3, 0}, {4, 11, 3, 0}}).empty());

  const auto self = find_circles(std::vector<Edge>{{7, 10, 7, 0}});
  REQUIRE(self.size() == 1);
  CHECK(waiters_of(self[0]) == Waiters{7});

  // 5 waits for a circle that it is not in; 8 and 9 have one of their own.
  const auto two =
      find_circles(std::vector<Edge>{{5, 10, 3, 0}, {3, 11, 1, 0}, {1, 12, 2, 0}, {2, 10, 3, 0}, {9, 20, 8, 0}, {8, 21, 9, 0}});
  REQUIRE(two.size() == 2);
  CHECK(waiters_of(two[0]) == Waiters{1, 2, 3});
  CHECK(waiters_of(two[1]) == Waiters{8, 9});
  CHECK(two[0][1].lock == 10);
}

TEST_CASE("processes that wait for each other's locks are seen from outside") {
  const auto memory_a = memory_of<Lock>(4U);
  const auto memory_b = memory_of<RLock>(4U);
  Lock a(memory_a, 1);
  std::vector<LockUsers> locks = {{100, Lock(memory_a, kRootSlot), {10, 11, 12}},
                                  {101, RLock(memory_b, kRootSlot), {20, 12, 11}}};
  CHECK(circles_among(locks).empty());

  // 11 holds a and waits for b; 12 holds b and waits for a.
  a.acquire();
  std::thread twelve([&] {
    const RLock b_of_12(memory_b, 1);
    auto b = b_of_12;
    const std::scoped_lock hold(b);
    Lock mine(memory_a, 2);
    const std::scoped_lock both(mine);
  });
  await([&] { return RLock(memory_b, kRootSlot).locked() && !a.waits().empty(); });
  CHECK(circles_among(locks).empty());
  std::thread eleven([&] {
    RLock b(memory_b, 2);
    const std::scoped_lock hold(b);
  });
  await([&] { return !circles_among(locks).empty(); });
  const auto circles = circles_among(locks);
  REQUIRE(circles.size() == 1);
  CHECK(waiters_of(circles[0]) == std::vector<std::uint64_t>{11, 12});
  CHECK(circles[0][0].lock == 101);
  a.release();  // a Lock may be released by others
  twelve.join();
  eleven.join();
  CHECK(circles_among(locks).empty());
}
