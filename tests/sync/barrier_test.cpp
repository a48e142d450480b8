#include "sync/barrier.h"

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <fstream>
#include <new>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>

#include "support/catch.h"
#include "support/child.h"
#include "sync/memory.h"

using namespace std::chrono_literals;
using namespace troupe::sync;
using troupe::shared::kRootSlot;
using troupe::test::await;
using troupe::test::memory_of;
using troupe::test::SharedMemory;

namespace {

// Arrives and waits; the barrier must break.
std::thread breaks_for(const SharedMemory& memory, Slot slot, std::optional<Slot>* culprit = nullptr) {
  return std::thread([&memory, slot, culprit] {
    try {
      Barrier(memory, slot).wait();
      FAIL_CHECK("passed a broken barrier");
    } catch (const BrokenBarrierError& error) {
      if (culprit != nullptr) *culprit = error.culprit();
    }
  });
}

}  // namespace

TEST_CASE("a Barrier releases all parties, each with another number, round after round") {
  constexpr std::uint32_t parties = 3;
  constexpr int rounds = 200;
  const auto memory = memory_of<Barrier>(4U, parties);
  std::atomic<int> acted = 0;
  std::atomic<int> arrived = 0;
  std::atomic<int> wrong = 0;
  std::atomic<std::uint32_t> sum = 0;
  std::vector<std::thread> threads;
  for (Slot slot = 0; slot < parties; ++slot) {
    threads.emplace_back([&, slot] {
      Barrier barrier(memory, slot, {.action = [&] { wrong += arrived != static_cast<int>(parties) * ++acted; }});
      for (int round = 1; round <= rounds; ++round) {
        ++arrived;
        sum += 1U << (4 * barrier.wait());
        wrong += acted < round;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(acted == rounds);
  CHECK(wrong == 0);
  CHECK(sum == rounds * 0x111U);
  Barrier barrier(memory, 0);
  CHECK(barrier.parties() == 3);
  CHECK(barrier.n_waiting() == 0);
  CHECK_FALSE(barrier.broken());
}

TEST_CASE("a Barrier of one party never waits") {
  const auto memory = memory_of<Barrier>(1U, 1U);
  Barrier barrier(memory, 0);
  CHECK(barrier.wait() == 0);
  CHECK(barrier.wait(0s) == 0);
}

TEST_CASE("a time-out breaks a Barrier until it is reset") {
  const auto memory = memory_of<Barrier>(4U, 2U);
  Barrier barrier(memory, 0, {.timeout = 1ms});
  CHECK_THROWS_AS(barrier.wait(), BrokenBarrierError);
  CHECK(barrier.broken());
  CHECK_FALSE(barrier.culprit());
  CHECK_THROWS_AS(barrier.wait(10s), BrokenBarrierError);
  CHECK(barrier.n_waiting() == 0);
  barrier.reset();
  CHECK_FALSE(barrier.broken());
  std::uint32_t first = 9;
  std::thread other([&] { first = Barrier(memory, 1).wait(); });
  await([&] { return barrier.n_waiting() == 1; });
  CHECK(barrier.wait(10s) == 1);
  other.join();
  CHECK(first == 0);
}

TEST_CASE("abort and reset end the waiting of others") {
  const bool aborted = GENERATE(true, false);
  const auto memory = memory_of<Barrier>(4U, 3U);
  Barrier barrier(memory, 0);
  auto one = breaks_for(memory, 1);
  auto two = breaks_for(memory, 2);
  await([&] { return barrier.n_waiting() == 2; });
  aborted ? barrier.abort() : barrier.reset();
  one.join();
  two.join();
  CHECK(barrier.broken() == aborted);
  CHECK(barrier.n_waiting() == 0);
}

TEST_CASE("an action that throws breaks the Barrier") {
  const auto memory = memory_of<Barrier>(4U, 2U);
  Barrier barrier(memory, 0, {.action = [] { throw std::runtime_error("action"); }});
  auto other = breaks_for(memory, 1);
  await([&] { return barrier.n_waiting() == 1; });
  CHECK_THROWS_WITH(barrier.wait(), "action");
  other.join();
  CHECK(barrier.broken());
}

TEST_CASE("a Barrier that is aborted or reset during its action is not passed") {
  const bool aborted = GENERATE(true, false);
  const auto memory = memory_of<Barrier>(4U, 2U);
  Barrier other(memory, 2);
  Barrier barrier(memory, 0, {.action = [&] { aborted ? other.abort() : other.reset(); }});
  auto waiter = breaks_for(memory, 1);
  await([&] { return barrier.n_waiting() == 1; });
  CHECK_THROWS_AS(barrier.wait(), BrokenBarrierError);
  waiter.join();
  CHECK(barrier.broken() == aborted);
}

TEST_CASE("who comes during a Barrier's action is of the next round") {
  const auto memory = memory_of<Barrier>(4U, 2U);
  std::atomic<pid_t> late_thread = 0;
  std::thread late;
  std::uint32_t indices[4] = {9, 9, 9, 9};
  const auto is_asleep = [&] {
    if (late_thread == 0) return false;
    std::ifstream stat("/proc/self/task/" + std::to_string(late_thread) + "/stat");
    std::string number, name, state;
    stat >> number >> name >> state;
    return state == "S";
  };
  Barrier barrier(memory, 0, {.action = [&] {
                    late = std::thread([&] {
                      Barrier third(memory, 2);
                      late_thread = ::gettid();
                      indices[2] = third.wait();
                    });
                    await(is_asleep);
                  }});
  std::thread other([&] { indices[1] = Barrier(memory, 1).wait(); });
  await([&] { return barrier.n_waiting() == 1; });
  indices[0] = barrier.wait();
  other.join();
  indices[3] = Barrier(memory, 3).wait(10s);
  late.join();
  CHECK(indices[0] + indices[1] == 1);
  CHECK(indices[2] + indices[3] == 1);
}

TEST_CASE("the death of a party breaks the Barrier and is named") {
  const auto memory = memory_of<Barrier>(8U, 3U);
  Barrier root(memory, kRootSlot);
  std::optional<Slot> culprit;

  SECTION("while others wait, between two rounds") { Barrier(memory, 5).enlist(5); }
  SECTION("inside of wait()") {
    troupe::test::Child victim([&] { return static_cast<int>(Barrier(memory, 5).wait()); });
    await([&] { return root.n_waiting() == 1; });
    auto waiter = breaks_for(memory, 1, &culprit);
    await([&] { return root.n_waiting() == 2; });
    victim.kill(SIGKILL);
    victim.wait();
    root.recover(5, End::finished);  // it cannot have finished in there
    waiter.join();
    CHECK(culprit == 5U);
    return;
  }
  auto waiter = breaks_for(memory, 1, &culprit);
  await([&] { return root.n_waiting() == 1; });
  root.recover(4, End::died);  // a user, but no party
  root.recover(5, End::died);
  waiter.join();
  CHECK(culprit == 5U);
  CHECK(root.culprit() == 5U);
  CHECK_THROWS_AS(Barrier(memory, 2).wait(), BrokenBarrierError);
  Barrier(memory, 2).reset();
  CHECK_FALSE(root.culprit());
}

// Root never waits for a user that is in there, so a death may still stand in a note when somebody who knows of it comes next.
TEST_CASE("what a user does after a death comes after that death") {
  const auto memory = memory_of<Barrier>(8U, 2U);
  Barrier root(memory, kRootSlot);
  Barrier user(memory, 3);
  root.enlist(5);
  auto& guard = *Parts(memory).next<GuardPart>();
  guard.lock.lock(4);
  root.recover(5, End::died);
  CHECK_FALSE(root.recovered(5));
  guard.lock.unlock();  // and is about to look at the note
  user.reset();
  CHECK(root.recovered(5));
  CHECK_FALSE(root.broken());
}

TEST_CASE("those whom a death has woken are told of it, and a reset after it makes the Barrier new") {
  for (int round = 0; round < 50; ++round) {
    const auto memory = memory_of<Barrier>(8U, 3U);
    Barrier root(memory, kRootSlot);
    Barrier other(memory, 3);
    root.enlist(5);
    std::optional<Slot> first, second;
    auto one = breaks_for(memory, 1, &first);
    auto two = breaks_for(memory, 2, &second);
    await([&] { return root.n_waiting() == 2; });
    root.recover(5, End::died);
    other.reset();
    one.join();
    two.join();
    CHECK(first == 5U);
    CHECK(second == 5U);
    REQUIRE_FALSE(root.broken());
    std::thread three([&] { Barrier(memory, 1).wait(); });
    std::thread four([&] { Barrier(memory, 2).wait(); });
    other.wait();
    three.join();
    four.join();
  }
}

TEST_CASE("a party that finished does not break the Barrier") {
  const auto memory = memory_of<Barrier>(4U, 2U);
  Barrier root(memory, kRootSlot);
  Barrier(memory, 3).enlist(3);
  root.recover(3, End::finished);
  CHECK_FALSE(root.broken());
  CHECK(root.recovered(3));
}
