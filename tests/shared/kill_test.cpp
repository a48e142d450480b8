// Kills a user of a kept lock at each instruction: while it comes to keep it, goes on under it, is robbed of it, robs another, lets go.
#include <algorithm>
#include <functional>
#include <limits>
#include <memory>
#include <new>

#include "os/futex.h"
#include "os/memory.h"
#include "shared/kept_lock.h"
#include "support/catch.h"
#include "support/kill_sweep.h"
#include "support/leftovers.h"
#include "support/stepper.h"
#include "support/survivors.h"

using namespace troupe;
using namespace troupe::test;
using shared::Held;
using shared::KeptLock;

namespace {

constexpr shared::Slot kHelper = 0, kVictim = 1, kFirstSurvivor = 2, kKeeper = 5;
constexpr auto kForever = Clock::time_point::max();

struct Arena {
  KeptLock lock;
  std::atomic<std::uint32_t> inside{0};  // slot + 1 of who is under the lock
  std::atomic<std::uint32_t> together{0};
  std::atomic<std::uint32_t> turn{0};
};

struct Shared {
  os::Mapping mapping{os::make_shared_memory("test", sizeof(Arena)), sizeof(Arena)};
  Arena& arena = *new (mapping.bytes().data()) Arena;
  Shared() { arena.lock.allow_keeping(); }
};

Arena& arena_in(std::span<std::byte> memory) { return *reinterpret_cast<Arena*>(memory.data()); }

// Alone in there, but for one who was killed there.
void use(Arena& arena, KeptLock::User& user, shared::Slot me, int times = 1) {
  for (int i = 0; i < times; ++i) {
    const Held held(user, kForever);
    const std::uint32_t other = arena.inside.exchange(me + 1);
    if (other != 0 && other != kVictim + 1) ++arena.together;
    std::uint32_t mine = me + 1;
    if (!arena.inside.compare_exchange_strong(mine, 0)) ++arena.together;
  }
}
void keep(Arena& arena, KeptLock::User& user, shared::Slot me) {
  for (int i = 0; i < 1'000 && !arena.lock.is_kept(); ++i) use(arena, user, me);
  if (!arena.lock.is_kept()) throw std::logic_error("the lock is not kept");
}
// Until the helper says so.
void await_turn(Arena& arena) {
  while (arena.turn == 0) os::futex_wait(arena.turn, 0);
}
void give_turn(Arena& arena) {
  arena.turn = 1;
  os::futex_wake_all(arena.turn);
}

using Act = std::function<void(Arena&)>;

struct Scenario {
  std::string name;
  Act victim;
  Act before = {};                // by a survivor that is there before the victim begins: what it keeps, it has
  std::vector<Act> asleep = {};   // survivors that come before the victim is stepped
  std::vector<Act> meanwhile = {};  // survivors that come while it stands still
  std::size_t afterwards = 0;     // so many instructions more until it is killed
  bool victim_sleeps_first = false;
  Act provoke = {};               // by the helper, when it sleeps: wakes it
};

Act uses(shared::Slot me, int times) {
  return [=](Arena& arena) {
    KeptLock::User user(arena.lock, me);
    use(arena, user, me, times);
  };
}

std::vector<Scenario> scenarios() {
  const auto one = uses(kFirstSurvivor, 2), another = uses(kFirstSurvivor + 1, 20);
  const Act comes_to_keep = [](Arena& arena) {
    KeptLock::User user(arena.lock, kVictim);
    mark();
    use(arena, user, kVictim, 14);
    mark();
  };
  const Act goes_on = [](Arena& arena) {
    KeptLock::User user(arena.lock, kVictim);
    keep(arena, user, kVictim);
    mark();
    use(arena, user, kVictim, 2);
    mark();
  };
  const Act lets_go = [](Arena& arena) {
    KeptLock::User user(arena.lock, kVictim);
    keep(arena, user, kVictim);
    Held held(user, kForever);
    mark();
    held.release();
    use(arena, user, kVictim, 2);
    mark();
  };
  const Act robs = [](Arena& arena) {
    KeptLock::User user(arena.lock, kVictim);
    mark();
    use(arena, user, kVictim, 2);
    mark();
  };
  const Act keeper = [](Arena& arena) {
    KeptLock::User user(arena.lock, kKeeper);
    keep(arena, user, kKeeper);
    await_turn(arena);
    use(arena, user, kKeeper, 40);
  };
  const Act busy_keeper = [](Arena& arena) {
    KeptLock::User user(arena.lock, kKeeper);
    keep(arena, user, kKeeper);
    {
      const Held held(user, kForever);
      await_turn(arena);
    }
    use(arena, user, kKeeper, 40);
  };
  std::vector<Scenario> all = {
      {.name = "comes to keep it", .victim = comes_to_keep, .meanwhile = {one, another}},
      {.name = "goes on under the lock that it keeps", .victim = goes_on, .meanwhile = {one, another}},
      {.name = "lets go to those who sleep for it", .victim = lets_go, .asleep = {one, another}},
      {.name = "robs a keeper", .victim = robs, .before = keeper, .meanwhile = {one}},
      {.name = "waits for a busy keeper, and is woken", .victim = robs, .before = busy_keeper, .asleep = {one},
       .victim_sleeps_first = true, .provoke = give_turn},
  };
  for (const std::size_t more : {1, 2, 3, 5, 8, 20, 1'000})
    all.push_back({.name = "is robbed, and goes on for " + std::to_string(more), .victim = goes_on, .meanwhile = {one, another}, .afterwards = more});
  return all;
}

using Recover = std::function<void(Arena&)>;
void recover_victim(Arena& arena) { arena.lock.abandon(kVictim); }

// One run of a scenario.
class Play {
 public:
  Play(const Scenario& scenario, Path& path) : scenario_(scenario) {
    if (scenario.before) add(scenario.before);
    victim_ = std::make_unique<Victim>([&] { scenario.victim(memory_.arena); }, path);
    if (scenario.victim_sleeps_first) victim_->fall_asleep();
    for (const Act& survivor : scenario.asleep) add(survivor);
    if (scenario.provoke) scenario.provoke(memory_.arena);
  }

  Victim& victim() { return *victim_; }

  std::string kill(const Recover& recover) {
    for (const Act& survivor : scenario_.meanwhile) add(survivor);
    victim_->step_to(scenario_.afterwards);
    victim_->kill();
    survivors_.settle();
    recover(memory_.arena);
    survivors_.settle();
    give_turn(memory_.arena);
    survivors_.settle();
    if (std::string wrong = survivors_.fault(true); !wrong.empty()) return wrong;
    return check(memory_.arena);
  }

  // Others can have it, and keep it; the dead has no seat left.
  static std::string check(Arena& arena) {
    if (arena.together != 0) return "two were under the lock";
    if (arena.lock.holder()) return "the lock is held";
    KeptLock::User user(arena.lock, kHelper);
    if (!Held(user, Clock::time_point::min())) return "the lock is not to be had";
    for (int i = 0; i < 1'000 && !arena.lock.is_kept(); ++i) use(arena, user, kHelper);
    return arena.lock.is_kept() ? "" : "the lock is not to be kept";
  }

 private:
  void add(const Act& act) {
    survivors_.add([&] {
      act(memory_.arena);
      return 0;
    });
    survivors_.settle();
  }

  const Scenario& scenario_;
  Shared memory_;
  Survivors survivors_;
  std::unique_ptr<Victim> victim_;
};

Sweep kill_in(const Scenario& scenario, std::size_t stride, const Recover& recover = recover_victim, bool to_first_failure = false) {
  return kill_in_plays<Play>(scenario, {.stride = stride, .failures_max = to_first_failure ? 1 : kAll}, recover);
}

void kill_in_all(std::size_t stride, std::size_t kills_min) {
  check_kills(scenarios(), [=](const Scenario& scenario) { return kill_in(scenario, stride); }, kills_min);
}

// At every change of the memory, of which nobody else knows; recovery is done twice, as if root had been interrupted.
Sweep look_in(const Act& victim, bool recovers, std::size_t seats_left) {
  const Shared memory;
  // Other keepers, who were robbed since, have some of the seats.
  std::vector<std::unique_ptr<KeptLock::User>> keepers;
  for (shared::Slot slot = 10; slot < 10 + 4 - seats_left; ++slot) {
    keep(memory.arena, *keepers.emplace_back(std::make_unique<KeptLock::User>(memory.arena.lock, slot)), slot);
    uses(20, 1)(memory.arena);
  }
  return look_at_every_change(
      memory.mapping.bytes(), [&] { victim(memory.arena); },
      [&](std::span<std::byte> copy) -> std::string {
        Arena& arena = arena_in(copy);
        for (int twice = 0; recovers && twice < 2; ++twice) arena.lock.abandon(kVictim);
        arena.together = 0;
        return Play::check(arena);
      });
}

}  // namespace

TEST_CASE("at every change of memory, one killed there leaves a lock that others can have and keep") {
  if (!kStepperWorks) return;
  const OneCpu one_cpu;
  std::size_t points = 0;
  for (const Scenario& scenario : scenarios()) {
    if (scenario.before || scenario.afterwards != 0) continue;
    for (const std::size_t seats_left : {4, 1}) {
      const Sweep sweep = look_in(scenario.victim, true, seats_left);
      INFO(scenario.name << ", " << seats_left << " seats left: " << sweep.first_failure);
      CHECK(sweep.failures == 0);
      points += sweep.points;
      CHECK(look_in(scenario.victim, false, seats_left).failures > 0);
    }
  }
  WARN(points << " states");
  CHECK(points > 100);
}

TEST_CASE("killed at hundreds of instructions while it keeps a lock, robs another of it or is robbed, it leaves it to those who sleep") {
  if (!kStepperWorks) return;
  kill_in_all(5, 500);
}

TEST_CASE("killed at every instruction while it keeps a lock, robs another of it or is robbed, it leaves it to those who sleep",
          "[.][soak][kill-sweep]") {
  if (!kStepperWorks) return;
  kill_in_all(1, 2500);
}

TEST_CASE("the sweep finds a recovery that wakes nobody, and one that does not free a kept lock") {
  if (!kStepperWorks) return;
  const Leftovers leftovers;
  const OneCpu one_cpu;
  const Recover wake_nobody = [](Arena& arena) {
    const auto copy = os::Mapping::anonymous(sizeof(Arena));
    const std::span bytes(reinterpret_cast<std::byte*>(&arena), sizeof(Arena));
    std::ranges::copy(bytes, copy.bytes().begin());
    recover_victim(arena_in(copy.bytes()));
    std::ranges::copy(copy.bytes().first(sizeof(Arena)), bytes.begin());
  };
  for (const Scenario& scenario : scenarios()) {
    INFO(scenario.name);
    if (scenario.name == "lets go to those who sleep for it") CHECK(kill_in(scenario, 1, wake_nobody, true).failures > 0);
    if (scenario.afterwards == 0) CHECK(kill_in(scenario, 1, [](Arena&) {}, true).failures > 0);
  }
}
