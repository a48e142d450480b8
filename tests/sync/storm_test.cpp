// Processes use primitives as fast as they can, and one after the other is killed at a random moment and replaced.
#include <sched.h>

#include <array>
#include <cstdlib>
#include <mutex>
#include <new>
#include <random>

#include "support/catch.h"
#include "support/leftovers.h"
#include "support/survivors.h"
#include "sync/barrier.h"
#include "sync/condition.h"
#include "sync/memory.h"
#include "sync/recover.h"
#include "sync/semaphore.h"
#include "sync/structure.h"
#include "sync/value.h"

using namespace troupe;
using namespace troupe::sync;
using namespace troupe::test;

namespace {

constexpr Slot kWorkers = 4;
constexpr std::uint32_t kPermits = 2;

unsigned seed() {
  const char* chosen = std::getenv("TROUPE_TEST_SEED");
  return chosen != nullptr ? static_cast<unsigned>(std::atoi(chosen)) : std::random_device()();
}

struct Ledger {
  std::atomic<bool> stop{false};
  std::array<std::atomic<std::uint64_t>, kWorkers> operations{};
  std::atomic<Slot> in_lock{0};  // slot + 1 of who is there
  std::array<std::atomic<std::uint32_t>, kWorkers> in_semaphore{};
  std::atomic<int> wrong{0};
  std::int64_t stock = 0;  // under the condition's lock

  std::uint64_t sum() const {
    std::uint64_t all = 0;
    for (const auto& count : operations) all += count;
    return all;
  }
};

struct Storm {
  SharedObject<Ledger> ledger;
  SharedMemory lock = memory_of<Lock>(kWorkers);
  SharedMemory value = memory_of<Array<long>>(kWorkers, 1U);
  SharedMemory semaphore{BoundedSemaphore::memory_size(kWorkers)};
  SharedMemory condition = memory_of<Condition>(kWorkers, kWorkers);
  std::vector<std::span<std::byte>> all = {lock, value, semaphore, condition};

  Storm() { BoundedSemaphore::format(semaphore, kWorkers, kPermits); }

  void work(Slot me, unsigned chosen) const {
    std::mt19937 random(chosen);
    while (!ledger->stop) {
      switch (random() % 4) {
        case 0: use_lock(me); break;
        case 1: use_value(me); break;
        case 2: use_semaphore(me); break;
        case 3: use_condition(me); break;
      }
      ++ledger->operations[me];
    }
  }

  // One at a time, unless the one before died in there.
  void use_lock(Slot me) const {
    Lock mutex(lock, me);
    const std::scoped_lock hold(mutex);
    const Slot before = ledger->in_lock.exchange(me + 1);
    if (before != 0 && !mutex.abandoned()) ++ledger->wrong;
    if (ledger->in_lock.exchange(0) != me + 1) ++ledger->wrong;
  }

  void use_value(Slot me) const {
    Array<long> counter(value, me);
    const std::scoped_lock hold(counter.get_lock());
    counter.set(0, counter.get(0) + 1);
  }

  // Not more than there are permits, not counting those who died in there.
  void use_semaphore(Slot me) const {
    BoundedSemaphore permits(semaphore, me);
    permits.acquire();
    ledger->in_semaphore[me] = 1;
    std::uint32_t inside = 0;
    for (const auto& one : ledger->in_semaphore) inside += one;
    if (inside > kPermits) ++ledger->wrong;
    ledger->in_semaphore[me] = 0;
    permits.release();
  }

  // Everybody brings one and then takes one, so there is always one to take.
  void use_condition(Slot me) const {
    Condition changed(condition, me);
    {
      const std::scoped_lock hold(changed);
      ++ledger->stock;
      changed.notify();
    }
    const std::scoped_lock hold(changed);
    changed.wait_for([&] { return ledger->stock > 0; });
    --ledger->stock;
  }

  void recover_all(const std::vector<Slot>& victims) const {
    for (const Slot dead : victims) ledger->in_semaphore[dead] = 0;
    for (const Slot dead : victims) {
      for (const auto memory : all) recover(memory, dead);
    }
    for (const Slot dead : victims) {
      for (const auto memory : all) await([&] { return recovered(memory, dead); });
    }
  }
};

void run_storm(int kills) {
  const Leftovers leftovers;
  const unsigned chosen = seed();
  INFO("TROUPE_TEST_SEED=" << chosen);
  std::mt19937 random(chosen);
  const Storm storm;
  Survivors workers;
  std::array<std::size_t, kWorkers> number{};
  const auto start = [&](Slot slot) {
    number[slot] = workers.add([&, seed_of_worker = random()] {
      storm.work(slot, seed_of_worker);
      return 0;
    });
  };
  for (Slot slot = 0; slot < kWorkers; ++slot) start(slot);
  bool wedged = false;
  for (int kill = 0; kill < kills && !wedged; ++kill) {
    const std::uint64_t moment = storm.ledger->sum() + random() % 400;
    while (storm.ledger->sum() < moment && !wedged) {
      wedged = workers.quiet();
      ::sched_yield();
    }
    // Sometimes a second one dies before the first is recovered.
    std::vector<Slot> victims = {static_cast<Slot>(random() % kWorkers)};
    if (random() % 4 == 0) victims.push_back((victims[0] + 1) % kWorkers);
    for (const Slot victim : victims) workers.kill(number[victim]);
    storm.recover_all(victims);
    for (const Slot victim : victims) start(victim);
  }
  CHECK_FALSE(wedged);
  storm.ledger->stop = true;
  workers.settle();
  CHECK(workers.fault(true) == "");
  CHECK(storm.ledger->wrong == 0);
  for (const auto memory : storm.all) {
    CHECK(check_structure(memory, 0) == "");
    CHECK(shape_of(memory).users == kWorkers);
  }
  CHECK(BoundedSemaphore(storm.semaphore, 0).get_value() == kPermits);
  WARN(kills << " kills among " << storm.ledger->sum() << " operations, TROUPE_TEST_SEED=" << chosen);
}

}  // namespace

TEST_CASE("two hundred users killed at random moments do not disturb the others") { run_storm(200); }
TEST_CASE("ten thousand users killed at random moments do not disturb the others", "[.][soak]") { run_storm(10'000); }

TEST_CASE("whichever party of a barrier is killed, the others are told which, and go on with another in its place") {
  const Leftovers leftovers;
  const unsigned chosen = seed();
  INFO("TROUPE_TEST_SEED=" << chosen);
  std::mt19937 random(chosen);
  struct Rounds {
    std::atomic<std::uint32_t> passed{0};
    std::atomic<std::uint32_t> told{0};  // of the death in this round
    std::atomic<std::uint32_t> deaths{0};
    std::atomic<Slot> culprit{0};
    std::atomic<int> wrong{0};
    std::atomic<bool> stop{false};
  };
  const SharedObject<Rounds> rounds;
  const auto memory = memory_of<Barrier>(kWorkers + 1, kWorkers);
  Barrier root(memory, shared::kRootSlot);
  Barrier helper(memory, kWorkers);
  Survivors workers;
  std::array<std::size_t, kWorkers> number{};
  const auto start = [&](Slot slot) {
    root.enlist(slot);
    number[slot] = workers.add([&, slot] {
      Barrier barrier(memory, slot);
      while (!rounds->stop) {
        const std::uint32_t deaths = rounds->deaths;
        try {
          barrier.wait();
          ++rounds->passed;
        } catch (const BrokenBarrierError& error) {
          if (rounds->stop) break;
          if (error.culprit() != rounds->culprit.load()) ++rounds->wrong;
          ++rounds->told;
          await([&] { return rounds->deaths != deaths; });
        }
      }
      return 0;
    });
  };
  for (Slot slot = 0; slot < kWorkers; ++slot) start(slot);
  for (int kill = 0; kill < 100; ++kill) {
    const std::uint32_t moment = rounds->passed + random() % 50;
    await([&] { return rounds->passed >= moment; });
    const Slot victim = random() % kWorkers;
    rounds->culprit = victim;
    workers.kill(number[victim]);
    root.recover(victim, End::died);
    await([&] { return root.recovered(victim) && rounds->told == kWorkers - 1; });
    helper.reset();
    rounds->told = 0;
    ++rounds->deaths;
    start(victim);
  }
  rounds->stop = true;
  helper.abort();
  workers.settle();
  CHECK(workers.fault(true) == "");
  CHECK(rounds->wrong == 0);
  WARN("100 kills among " << rounds->passed / kWorkers << " rounds, TROUPE_TEST_SEED=" << chosen);
}
