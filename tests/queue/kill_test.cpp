#include "support/catch.h"

#include <sched.h>

#include <cstdio>
#include <fstream>
#include <list>
#include <memory>
#include <optional>

#include "support/child.h"
#include "support/kill_sweep.h"
#include "support/leftovers.h"
#include "sweep_support.h"

using namespace troupe;
using namespace troupe::queue;
using namespace queue_test;

// Users killed for real, while others are asleep in the kernel or come to a queue that stands still in the midst of an operation.
namespace {

using Memory = std::shared_ptr<const QueueMemory>;
using Work = std::function<void(SharedQueue&)>;
using Setup = std::function<void(const Memory&)>;

struct KillScenario {
  std::string name;
  QueueOptions options;
  Setup prepare;
  Work victim;
  std::vector<Work> asleep;     // survivors that sleep on the queue before the victim begins
  std::vector<Work> meanwhile;  // survivors that come while it stands still
  Setup provoke;                // when the victim has fallen asleep itself: wakes it
  // For a survivor that sleeps though the victim was recovered from: false if there is no reason to, else does what it waits for.
  std::function<bool(SharedQueue&)> relieve;
};

// As if by the user in slot 0.
void hold_put_lock(const QueueMemory& memory, bool hold) {
  static std::optional<shared::KeptLock::User> user;
  if (!hold) return user->unlock(shared::KeptLock::User::Hold::plain);
  user.emplace(memory.control().put.lock, 0);
  REQUIRE(user->lock_until(Clock::time_point::max()) == shared::KeptLock::User::Hold::plain);
}

enum class State { running, asleep, ended };

State state_of(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  std::getline(file, text);
  const auto name_end = text.rfind(')');
  if (name_end == std::string::npos || name_end + 2 >= text.size()) return State::ended;
  const char state = text[name_end + 2];
  return state == 'S' ? State::asleep : state == 'Z' || state == 'X' ? State::ended : State::running;
}

State settled(const test::Child& child) {
  const auto deadline = Clock::now() + std::chrono::seconds(20);
  for (;;) {
    const State state = state_of(child.pid());
    if (state != State::running || Clock::now() > deadline) return state;
    ::sched_yield();
  }
}

struct Recovery {
  RecoverSteps steps = {};
  Duration patience = std::chrono::seconds(10);
};

// One run of a scenario.
class Play {
 public:
  Play(const KillScenario& scenario, test::Path& path) : scenario_(scenario), memory_(make_memory(scenario.options)) {
    scenario.prepare(memory_);
    for (const Work& work : scenario.asleep) begin(work);
    const auto body = [&] {
      SharedQueue mine(memory_, kVictim);
      test::mark();
      scenario_.victim(mine);
      test::mark();
    };
    victim_.emplace(body, path);
    if (!scenario.provoke) return;
    victim_->fall_asleep();
    for (const Work& work : scenario_.meanwhile) begin(work);
    scenario_.provoke(memory_);
  }

  test::Victim& victim() { return *victim_; }

  // What goes wrong when it is killed now.
  std::string kill(const Recovery& recovery) {
    if (!scenario_.provoke) {
      for (const Work& work : scenario_.meanwhile) begin(work);
    }
    victim_->kill();
    recover(*memory_, kVictim, recovery.steps);
    SharedQueue queue(memory_, 0);
    for (test::Child& child : survivors_) {
      // It may sleep for a moment because another survivor has a lock; not for long.
      const auto deadline = Clock::now() + recovery.patience;
      while (settled(child) != State::ended) {
        if (!scenario_.relieve(queue) && Clock::now() > deadline) return "a survivor sleeps though there is no reason to";
        ::sched_yield();
      }
      if (child.wait() != 0) return "a survivor failed";
    }
    try {
      drain_and_check(memory_);
    } catch (const std::exception& error) {
      return error.what();
    }
    return {};
  }

 private:
  void begin(const Work& work) {
    const auto slot = static_cast<std::uint32_t>(kSurvivor + 1 + survivors_.size());
    survivors_.emplace_back([this, work, slot] {
      SharedQueue queue(memory_, slot);
      work(queue);
      return 0;
    });
    settled(survivors_.back());
  }

  const KillScenario& scenario_;
  Memory memory_;
  std::optional<test::Victim> victim_;
  std::list<test::Child> survivors_;
};

// Items are made beforehand and looked at by survivors only: what a victim does to them is no point of interest.
Work put_some(std::uint64_t first, std::uint64_t count, std::size_t size = 64) {
  std::vector<Bytes> items;
  for (std::uint64_t i = first; i < first + count; ++i) items.push_back(make_item(i, size));
  return [items](SharedQueue& queue) {
    for (const Bytes& item : items) queue.put(item);
  };
}
Work put(std::uint64_t number, std::size_t size = 64) { return put_some(number, 1, size); }
Work get_some(std::size_t count) {
  return [=](SharedQueue& queue) {
    Bytes bytes;
    for (std::size_t i = 0; i < count; ++i) {
      if (queue.get(bytes) == GetResult::item) read_item(bytes);
    }
  };
}
Work take_some(std::size_t count) {
  return [=](SharedQueue& queue) {
    Bytes bytes;
    for (std::size_t i = 0; i < count; ++i) (void)queue.get(bytes);
  };
}
Setup setup(const Work& work) {
  return [=](const Memory& memory) {
    SharedQueue queue(memory, 0);
    work(queue);
  };
}
const Setup nothing = [](const Memory&) {};
const Work lease_and_acknowledge = [](SharedQueue& queue) {
  Bytes bytes;
  Lease lease;
  queue.lease(bytes, lease);
  queue.acknowledge(lease);
};

const Work lease_and_give_back = [](SharedQueue& queue) {
  Bytes bytes;
  Lease lease;
  queue.lease(bytes, lease);
  queue.give_back(lease);
};
Work put_batch(std::uint64_t first, std::uint64_t count) {
  std::vector<Bytes> items;
  for (std::uint64_t i = first; i < first + count; ++i) items.push_back(make_item(i, 64));
  return [items](SharedQueue& queue) { queue.put_many(std::vector<std::span<const std::byte>>(items.begin(), items.end())); };
}
const Work lease_batch_and_acknowledge = [](SharedQueue& queue) {
  Items items;
  std::vector<Lease> leases;
  queue.lease_many(items, leases, 2);
  for (const Lease& lease : leases) queue.acknowledge(lease);
};

bool give_an_item(SharedQueue& queue) { return queue.empty() && queue.put(make_item(900), kNow) == PutResult::done; }
bool make_room(SharedQueue& queue) {
  Bytes bytes;
  return queue.full() && queue.get(bytes, kNow) == GetResult::item;
}
bool never(SharedQueue&) { return false; }

std::vector<KillScenario> kill_scenarios(Order order = Order::fifo) {
  const auto small = [=](std::uint64_t items_max = 0) {
    auto options = tiny_options({.items_max = items_max, .order = order});
    options.users_max = 8;
    return options;
  };
  const auto consumer = get_some(1);
  const auto leases = std::make_shared<std::vector<Lease>>();
  std::vector<KillScenario> all = {
      {"a waker of consumers", small(), nothing, put(1), {consumer, consumer}, {}, {}, give_an_item},
      {"a waker of consumers, of a large item", small(), nothing, put(1, 700), {consumer}, {}, {}, give_an_item},
      {"a waker of consumers, by a batch", small(), nothing, put_batch(1, 3), {consumer, consumer}, {}, {}, give_an_item},
      {"a waker of consumers, who gives back what it leased", small(), setup(put(1)), lease_and_give_back, {}, {consumer, get_some(1)}, {},
       give_an_item},
      {"a waker of producers", small(1), setup(put(1)), take_some(1), {put(2), put(3)}, {}, {}, make_room},
      {"a waker of producers, who acknowledges what it leased", small(1), setup(put(1)), lease_and_acknowledge, {put(2), put(3)}, {}, {},
       make_room},
      {"a woken consumer", small(), nothing, take_some(1), {}, {consumer}, setup(put(1)), give_an_item},
      {"a woken producer", small(1), setup(put(1)), put(2), {}, {put(3)}, setup(get_some(1)), make_room},
      {"a closer", small(1), nothing, [](SharedQueue& queue) { queue.close(); }, {consumer, consumer}, {}, {},
       [](SharedQueue& queue) { return !queue.closed() && (queue.close(), true); }},
      {"the last holder of a lease, with a joiner", small(), setup(put(1)), lease_and_acknowledge,
       {[](SharedQueue& queue) { (void)queue.join(); }}, {}, {},
       [](SharedQueue& queue) { return !queue.empty() && (get_some(1)(queue), true); }},
      {"the last holder of leases, with a consumer of a closed queue", small(),
       [leases](const Memory& memory) {
         SharedQueue queue(memory, kVictim);
         Items items;
         put_some(1, 2)(queue);
         queue.lease_many(items, *leases, 2);
         queue.close();
       },
       [leases](SharedQueue& queue) {
         for (const Lease& lease : *leases) queue.acknowledge(lease);
       },
       {get_some(1)}, {}, {}, never}};
  // They put three and get three, and there is room for what the victim puts and enough for what it gets.
  const auto frozen = [&](const char* name, std::uint64_t items, const Work& victim, std::size_t size = 64) {
    all.push_back({name, small(3), setup(put_some(1, items, size)), victim, {}, {put_some(101, 3, size), get_some(3)}, {}, never});
  };
  frozen("a producer that stands still", 2, put(50));
  frozen("a producer of a large item that stands still", 2, put(50, 700), 700);
  frozen("a consumer that stands still", 2, take_some(1));
  frozen("a consumer of a large item that stands still", 2, take_some(1), 700);
  frozen("a leaser that stands still", 2, lease_and_acknowledge);
  frozen("a consumer of a batch that stands still", 2, [](SharedQueue& queue) {
    Items items;
    queue.get_many(items, 2);
  });
  frozen("one who leases and gives back, and stands still", 2, lease_and_give_back);
  frozen("one who leases a batch, and stands still", 2, lease_batch_and_acknowledge);
  // Without a bound: they put three and get three of many.
  const auto among_many = [&](const char* name, std::uint64_t puts, std::uint64_t gets, const Work& victim) {
    const Setup prepare = setup([=](SharedQueue& queue) { put_some(1, puts)(queue), get_some(gets)(queue); });
    all.push_back({name, small(), prepare, victim, {}, {put_some(201, 3), get_some(3)}, {}, never});
  };
  // A segment takes 56 items; the entries of another order are 64 at a time.
  const std::uint64_t grows_at = order == Order::fifo ? 56 : 64;
  among_many("a producer for whom the queue grows", grows_at - 1, 0, put_some(150, 2));
  among_many("a producer of a batch for whom the queue grows", grows_at - 1, 0, put_batch(150, 3));
  order == Order::fifo ? among_many("a consumer after whom the queue shrinks", 170, 111, take_some(2))
                       : among_many("a consumer after whom the queue shrinks", 72, 66, take_some(3));
  auto many_kept = small();
  many_kept.segments_kept = 2;
  const Setup end = setup([=](SharedQueue& queue) { put_some(1, 120)(queue), put(121, 700)(queue), get_some(120)(queue), queue.close(); });
  all.push_back({"one who finds the end and gives back what was kept", many_kept, end, take_some(2), {}, {consumer, consumer}, {}, never});
  all.push_back({"one who waits for a lock", small(), [](const Memory& memory) { hold_put_lock(*memory, true); }, put(1), {}, {put(2)},
                 [](const Memory& memory) { hold_put_lock(*memory, false); }, never});
  return all;
}

std::size_t kill_in_all(const std::vector<KillScenario>& all, std::size_t kills_max = test::kAll) {
  test::Leftovers leftovers;
  std::size_t kills = 0, missed = 0;
  for (const KillScenario& scenario : all) {
    const auto sweep = test::kill_in_plays<Play>(scenario, {.kills_max = kills_max, .failures_max = 3}, Recovery{});
    INFO(scenario.name << ": " << sweep.failures << " of " << sweep.points << " kills failed, the first: " << sweep.first_failure);
    CHECK(sweep.failures == 0);
    kills += sweep.points, missed += sweep.missed;
  }
  WARN(kills << " kills");
  CHECK(missed <= kills / 50);
  return kills;
}

}  // namespace

TEST_CASE("killed among others that sleep or wait, a user keeps none of them") {
  if (!test::kStepperWorks) return;
  CHECK(kill_in_all(kill_scenarios(), 50) >= 1'000);
}

TEST_CASE("nor of a queue that is last in, first out") {
  if (!test::kStepperWorks) return;
  CHECK(kill_in_all(kill_scenarios(Order::lifo), 50) >= 1'000);
}

TEST_CASE("nor of a queue by priority") {
  if (!test::kStepperWorks) return;
  CHECK(kill_in_all(kill_scenarios(Order::priority), 50) >= 1'000);
}

// The harness itself is put to the test: with a step of the recovery left out, it must find something.
TEST_CASE("a recovery that wakes nobody is noticed") {
  if (!test::kStepperWorks) return;
  const Recovery wakes_nobody{.steps = {.wake = false}, .patience = std::chrono::milliseconds(300)};
  for (const Order order : {Order::fifo, Order::priority})
    CHECK(test::kill_in_plays<Play>(kill_scenarios(order).front(), {.kills_max = 100, .failures_max = 1}, wakes_nobody).failures == 1);
}

TEST_CASE("killed among others at every instruction, a user keeps none of them", "[.][soak][kill-sweep]") {
  if (!test::kStepperWorks) return;
  CHECK(kill_in_all(kill_scenarios()) >= 5'000);
}

TEST_CASE("nor, at every instruction, of a queue that is last in, first out", "[.][soak][kill-sweep]") {
  if (!test::kStepperWorks) return;
  CHECK(kill_in_all(kill_scenarios(Order::lifo)) >= 5'000);
}

TEST_CASE("nor, at every instruction, of a queue by priority", "[.][soak][kill-sweep]") {
  if (!test::kStepperWorks) return;
  CHECK(kill_in_all(kill_scenarios(Order::priority)) >= 5'000);
}
