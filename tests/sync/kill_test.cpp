// Kills a user at each instruction of each operation, with others asleep in it: they go on, and nothing is lost.
#include <algorithm>
#include <cstdlib>
#include <limits>
#include <memory>
#include <random>

#include "os/futex.h"
#include "support/catch.h"
#include "support/kill_sweep.h"
#include "support/leftovers.h"
#include "support/stepper.h"
#include "support/survivors.h"
#include "sync/memory.h"
#include "sync/recover.h"
#include "sync/scenarios.h"
#include "sync/structure.h"

using namespace troupe;
using namespace troupe::test;
using Stop = Stepper::Stop;

namespace {

using Memory = Scenario::Memory;

// Planted faults must not come across survivors that are awake.
struct Recovery {
  std::function<void(Memory)> recover;
  bool while_all_sleep = false;
};

void recover_victim(Memory memory) {
  sync::recover(memory, kVictim);
  if (!sync::recovered(memory, kVictim)) throw std::logic_error("nobody was in the way of the recovery");
}

// One run of a scenario. The first one notes the victim's path; the others follow it.
class Play {
 public:
  explicit Play(const Scenario& scenario, Path& path)
      : scenario_(scenario),
        memory_(scenario.size + 64),
        victim_(((void)scenario.prepare(memory_), [&] { scenario.victim(memory_); })),
        path_(path) {
    if (path.at.empty()) victim_.record(path);
    if (scenario.victim_sleeps_first) {
      victim_.to(path, path.sleeps_at.value_or(0));
      while (victim_.step() == Stop::instruction) {
      }
      begin_ = *path.sleeps_at;
    }
    for (std::size_t i = 0; i < kSurvivors; ++i) {
      survivors_.add([&, i] {
        scenario.survivor(memory_, kFirstSurvivor + static_cast<shared::Slot>(i));
        return 0;
      });
    }
    survivors_.settle();
    if (scenario.meanwhile) scenario.meanwhile(memory_);
  }

  // One more instruction of the victim's; false if there is none.
  bool step() {
    Stop stop = victim_.step();
    if (stop == Stop::blocked && scenario_.when_blocked) {
      scenario_.when_blocked(memory_);
      stop = victim_.step();
    }
    return stop == Stop::instruction;
  }

  // The same so often; false if it did not come there, which may be because it took another way this time.
  bool to(std::size_t steps) {
    Stop stop = victim_.to(path_, begin_ + steps);
    if (stop == Stop::blocked && scenario_.when_blocked) {
      scenario_.when_blocked(memory_);
      stop = victim_.to(path_, begin_ + steps);
    }
    return stop == Stop::instruction;
  }

  // What goes wrong when the victim is killed now.
  std::string kill(const Recovery& recovery) {
    victim_.kill();
    if (recovery.while_all_sleep) survivors_.settle();
    recovery.recover(memory_);
    const std::size_t ended = survivors_.settle();
    if (scenario_.must_have_ended && ended < scenario_.must_have_ended(memory_)) return "a wake-up is lost";
    std::string wrong = check_structure(memory_.bytes().first(scenario_.size), kVictim);
    if (!wrong.empty()) return wrong;
    if (scenario_.finish) scenario_.finish(memory_);
    survivors_.settle();
    wrong = survivors_.fault(true);
    if (wrong.empty() && scenario_.check) wrong = scenario_.check(memory_);
    return wrong;
  }

  [[nodiscard]] Memory memory() const { return memory_.bytes(); }

 private:
  const Scenario& scenario_;
  SharedMemory memory_;
  Stepper victim_;
  const Path& path_;
  std::size_t begin_ = 0;  // steps before it is to be killed at any
  Survivors survivors_;
};

// Until a little after the last change of memory: what follows then, like the throwing of an exception, is the victim's own affair.
std::size_t instructions_of(const Scenario& scenario, Path& path) {
  constexpr std::size_t kLeaving = 100;
  Play play(scenario, path);
  std::vector<std::byte> seen;
  std::size_t last_change = 0;
  std::size_t count = 0;
  do {
    if (!std::ranges::equal(seen, play.memory())) {
      seen.assign(play.memory().begin(), play.memory().end());
      last_change = count;
    }
    ++count;
  } while (play.step());
  return std::min(count, last_change + kLeaving);
}

// Kills for real at every instruction, or at so many of them, evenly spread from a random one on.
struct Points {
  std::size_t most = std::numeric_limits<std::size_t>::max();
  unsigned random = 0;
  bool to_first_failure = false;
};
Sweep kill_in(const Scenario& scenario, Points points, const Recovery& recovery = {recover_victim}) {
  Sweep sweep;
  Path path;
  const std::size_t end = instructions_of(scenario, path);
  const std::size_t stride = end / points.most + 1;
  for (std::size_t at = points.random % stride; at < end; at += stride) {
    auto play = std::make_unique<Play>(scenario, path);
    if (!play->to(at)) {
      play.reset(), play = std::make_unique<Play>(scenario, path);
      std::size_t steps = 0;
      while (steps < at && play->step()) ++steps;
      if (steps < at) ++sweep.missed;
    }
    const std::string wrong = play->kill(recovery);
    sweep.count(wrong.empty() ? "" : scenario.name + ", instruction " + std::to_string(at) + ": " + wrong);
    if (points.to_first_failure && sweep.failures != 0) break;
  }
  return sweep;
}

// Looks at a copy of the memory after every change, with the others still asleep. Recovery is repeated, as if a user who helped with
// it had died; or left out.
Sweep look_in(const Scenario& scenario, bool recovers = true) {
  Sweep sweep;
  Path path;
  Play play(scenario, path);
  std::vector<std::byte> seen;
  const auto copy = os::Mapping::anonymous(play.memory().size());
  do {
    if (std::ranges::equal(seen, play.memory())) continue;
    seen.assign(play.memory().begin(), play.memory().end());
    std::ranges::copy(seen, copy.bytes().begin());
    std::string wrong;
    for (int time = 0; time < 2 && wrong.empty(); ++time) {
      if (recovers) recover_victim(copy.bytes());
      wrong = check_structure(copy.bytes().first(scenario.size), kVictim);
    }
    sweep.count(wrong.empty() ? "" : scenario.name + ": " + wrong);
  } while (play.step());
  return sweep;
}

// Recovery as it should be, but nobody is woken: futexes of a copy are other futexes.
void recover_without_waking(Memory memory) {
  const auto copy = os::Mapping::anonymous(memory.size());
  std::ranges::copy(memory, copy.bytes().begin());
  recover_victim(copy.bytes());
  std::ranges::copy(copy.bytes(), memory.begin());
}

// Everybody is woken, but nothing is taken from the dead.
void wake_without_recovery(Memory memory) {
  for (std::size_t at = 0; at < memory.size(); at += sizeof(sync::Word)) {
    os::futex_wake_all(*reinterpret_cast<sync::Word*>(memory.data() + at));
  }
}

unsigned seed() {
  const char* chosen = std::getenv("TROUPE_TEST_SEED");
  return chosen != nullptr ? static_cast<unsigned>(std::atoi(chosen)) : std::random_device()();
}

}  // namespace

TEST_CASE("at every change of memory, recovery from a death there leaves it in order") {
  if (!kStepperWorks) return;
  const Leftovers leftovers;
  const OneCpu one_cpu;
  std::size_t points = 0;
  for (const Scenario& scenario : scenarios()) {
    const Sweep sweep = look_in(scenario);
    INFO(sweep.first_failure);
    CHECK(sweep.failures == 0);
    CHECK(sweep.points > 1);
    points += sweep.points;
  }
  WARN(points << " states looked at");
}

namespace {

void kill_in_all(std::size_t points_each, std::size_t kills_min) {
  const unsigned chosen = seed();
  INFO("TROUPE_TEST_SEED=" << chosen);
  std::mt19937 random(chosen);
  check_kills(
      scenarios(),
      [&](const Scenario& scenario) {
        return kill_in(scenario, {.most = points_each, .random = static_cast<unsigned>(random())});
      },
      kills_min, ", TROUPE_TEST_SEED=" + std::to_string(chosen));
}

}  // namespace

TEST_CASE("killed at more than a thousand instructions of all operations, sleeping survivors go on") {
  if (!kStepperWorks) return;
  kill_in_all(50, 1000);
}

TEST_CASE("killed at every instruction of all operations, sleeping survivors go on", "[.][soak][kill-sweep]") {
  if (!kStepperWorks) return;
  kill_in_all(std::numeric_limits<std::size_t>::max(), 5000);
}

TEST_CASE("the sweep finds a recovery that wakes nobody, and one that takes nothing from the dead") {
  if (!kStepperWorks) return;
  const Leftovers leftovers;
  const OneCpu one_cpu;
  for (const Scenario& scenario : scenarios()) {
    if (scenario.name != "Lock: release to sleepers" && scenario.name != "Semaphore: woken" && scenario.name != "Event: set" &&
        scenario.name != "Condition: notify_all" && scenario.name != "Barrier: the last to arrive") {
      continue;
    }
    INFO(scenario.name);
    const Points all = {.to_first_failure = true};
    CHECK(kill_in(scenario, all, {recover_without_waking, true}).failures > 0);
    if (scenario.name == "Event: set") continue;  // nothing in it belongs to anybody
    CHECK(kill_in(scenario, all, {wake_without_recovery, true}).failures > 0);
    CHECK(look_in(scenario, false).failures > 0);
  }
}
