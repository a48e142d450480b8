#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "os/affinity.h"
#include "support/catch.h"
#include "support/leftovers.h"
#include "support/stepper.h"

// What the sweeps share that kill victims for real, while others sleep.
namespace troupe::test {

// On one CPU nobody spins: that is a lot of instructions which all look the same.
class OneCpu {
 public:
  OneCpu() { os::set_allowed_cpus({os::current_cpu()}); }
  ~OneCpu() { os::set_allowed_cpus(cpus_); }
  OneCpu(const OneCpu&) = delete;
  OneCpu& operator=(const OneCpu&) = delete;

 private:
  std::vector<int> cpus_ = os::allowed_cpus();
};

// Who is to be killed. The first victim of a scenario notes its path; the others follow it.
class Victim {
 public:
  Victim(const std::function<void()>& body, Path& path) : stepper_(body), path_(path) {
    if (path.at.empty()) stepper_.record(path);
  }

  // To where it sleeps for the first time: it is to be killed from there on.
  void fall_asleep() {
    stepper_.to(path_, path_.sleeps_at.value_or(0));
    walk();
    begin_ = path_.sleeps_at.value();
  }
  // To the end: how many instructions that were.
  std::size_t walk() {
    while (step()) {
    }
    return path_.steps() - begin_;
  }
  // So many instructions; false if it did not come there, which may be because it took another way this time.
  bool to(std::size_t steps) { return stepper_.to(path_, begin_ + steps) == Stepper::Stop::instruction; }
  bool step_to(std::size_t steps) {
    while (steps > 0 && step()) --steps;
    return steps == 0;
  }
  bool step() { return stepper_.step() == Stepper::Stop::instruction; }
  void kill() { stepper_.kill(); }

 private:
  Stepper stepper_;
  const Path& path_;
  std::size_t begin_ = 0;  // steps before it is to be killed at any
};

inline constexpr std::size_t kAll = std::numeric_limits<std::size_t>::max();

struct KillPoints {
  std::size_t stride = 1;       // at every so-manieth instruction,
  std::size_t kills_max = kAll;  // or fewer, evenly spread
  std::size_t failures_max = kAll;
};

// A Play of the scenario for each point, whose victim is killed there. One that takes another way is played again, step by step.
template <class Play, class Scenario, class Recover>
Sweep kill_in_plays(const Scenario& scenario, const KillPoints& points, const Recover& recover) {
  Sweep sweep;
  Path path, unused;
  // What this process does for the first time, when it looks at what is left, victims have from it: from the one on that notes its path.
  static_cast<void>(Play(scenario, unused).kill(recover));
  const std::size_t end = Play(scenario, path).victim().walk();
  const std::size_t stride = std::max(points.stride, end / points.kills_max);
  for (std::size_t at = 0; at < end + stride && sweep.failures < points.failures_max; at += stride) {
    auto play = std::make_unique<Play>(scenario, path);
    if (!play->victim().to(std::min(at, end))) {
      play.reset(), play = std::make_unique<Play>(scenario, path);
      if (!play->victim().step_to(std::min(at, end))) ++sweep.missed;
    }
    const std::string wrong = play->kill(recover);
    sweep.count(wrong.empty() ? "" : scenario.name + ", instruction " + std::to_string(at) + ": " + wrong);
  }
  return sweep;
}

// kill_in() of each scenario finds no fault, in so many kills at least.
template <class Scenarios, class KillIn>
void check_kills(const Scenarios& scenarios, const KillIn& kill_in, std::size_t kills_min, const std::string& of = "") {
  const Leftovers leftovers;
  const OneCpu one_cpu;
  Sweep all;
  for (const auto& scenario : scenarios) {
    const Sweep sweep = kill_in(scenario);
    INFO(sweep.first_failure);
    CHECK(sweep.failures == 0);
    all.points += sweep.points, all.missed += sweep.missed;
  }
  WARN(all.points << " kills" << of);
  CHECK(all.points >= kills_min);
  CHECK(all.missed <= all.points / 50);
}

}  // namespace troupe::test
