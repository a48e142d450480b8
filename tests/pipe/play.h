#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "pipe_support.h"
#include "support/kill_sweep.h"
#include "support/stepper.h"
#include "support/survivors.h"

// Scenarios in which a holder of an end is killed for real, at any instruction, while others sleep.
namespace pipe_test {

inline constexpr troupe::shared::Slot kHelper = 0, kVictim = 1, kFirstSurvivor = 2, kPartner = 20;  // of the victim, and in its process

using Act = std::function<void(const PipeMemory&)>;

struct Scenario {
  std::string name;
  PipeShape shape;
  Act prepare;
  Side side;  // of the victim
  Act victim;
  std::vector<Act> survivors;
  bool victim_sleeps_first = false;
  Act meanwhile = {};         // by the helper, when all sleep
  bool last_holder = false;   // of its end: then it is gone
  // The victim is dead and recovered, not all survivors have ended: is there a reason why one should have?
  std::function<bool(const PipeMemory&)> stuck = {};
  Act finish = {};  // by the helper: then all survivors must end
  std::function<std::string(const PipeMemory&)> check = {};
};

using Recover = std::function<void(const PipeMemory&, const Scenario&)>;

inline void recover_all(const PipeMemory& pipe, const Scenario& scenario) {
  if (scenario.shape.block_bytes != 0) troupe::pipe::recover_blocks(pipe.bytes(), kVictim + kBlockSlots);
  troupe::pipe::recover(pipe.bytes(), scenario.side, kVictim, pipe.socket(scenario.side));
  if (scenario.last_holder) pipe.end_gone(scenario.side);
}

// One run of a scenario.
class Play {
 public:
  Play(const Scenario& scenario, troupe::test::Path& path)
      : scenario_(scenario),
        pipe_(scenario.shape),
        victim_(((void)(scenario.prepare ? scenario.prepare(pipe_) : void()), [&] { scenario.victim(pipe_); }), path) {
    if (scenario.victim_sleeps_first) victim_.fall_asleep();
    for (const Act& survivor : scenario.survivors) {
      survivors_.add([&] {
        survivor(pipe_);
        return 0;
      });
    }
    survivors_.settle();
    if (scenario.meanwhile) scenario.meanwhile(pipe_);
  }

  troupe::test::Victim& victim() { return victim_; }

  // What goes wrong when it is killed now.
  std::string kill(const Recover& recover) {
    victim_.kill();
    survivors_.settle();
    recover(pipe_, scenario_);
    if (survivors_.settle() < scenario_.survivors.size() && scenario_.stuck && scenario_.stuck(pipe_)) return "a wake-up is lost";
    if (scenario_.finish) scenario_.finish(pipe_);
    survivors_.settle();
    const std::string wrong = survivors_.fault(true);
    return wrong.empty() && scenario_.check ? scenario_.check(pipe_) : wrong;
  }

 private:
  const Scenario& scenario_;
  PipeMemory pipe_;
  troupe::test::Victim victim_;
  troupe::test::Survivors survivors_;
};

// At every so-manieth instruction.
inline troupe::test::Sweep kill_in(const Scenario& scenario, std::size_t stride, const Recover& recover = recover_all,
                                   bool to_first_failure = false) {
  return troupe::test::kill_in_plays<Play>(scenario, {.stride = stride, .failures_max = to_first_failure ? 1 : troupe::test::kAll}, recover);
}

}  // namespace pipe_test
