#pragma once

#include <algorithm>
#include <cstddef>
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

// A Play of the scenario for every so-manieth instruction, whose victim is killed there: the first one notes the way. One that takes
// another way is played again, step by step.
template <class Play, class Scenario, class Recover>
Sweep kill_in_plays(const Scenario& scenario, std::size_t stride, const Recover& recover, bool to_first_failure) {
  Sweep sweep;
  Path path;
  const std::size_t end = Play(scenario, path).walk();
  for (std::size_t at = 0; at < end + stride; at += stride) {
    auto play = std::make_unique<Play>(scenario, path);
    if (!play->to(std::min(at, end))) {
      play.reset(), play = std::make_unique<Play>(scenario, path);
      if (!play->step_to(std::min(at, end))) ++sweep.missed;
    }
    const std::string wrong = play->kill(recover);
    sweep.count(wrong.empty() ? "" : scenario.name + ", instruction " + std::to_string(at) + ": " + wrong);
    if (to_first_failure && sweep.failures != 0) break;
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
