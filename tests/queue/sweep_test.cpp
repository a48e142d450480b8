#include "support/catch.h"

#include <cstdio>

#include "support/leftovers.h"
#include "sweep_support.h"

using namespace troupe;
using namespace troupe::queue;
using namespace queue_test;

// What a queue looks like to the others if a user is killed between any two instructions. SIGKILL leaves memory as it is, so that a
// copy taken between two instructions is what would be left; kill_test.cpp does it for real.
TEST_CASE("wherever a user is killed, nothing is lost, doubled, torn, miscounted or held") {
  if (!test::kStepperWorks) return;
  test::Leftovers leftovers;
  std::size_t points = 0;
  for (const Scenario& scenario : scenarios()) {
    const auto sweep = sweep_states(scenario);
    INFO(scenario.name << ": " << sweep.failures << " of " << sweep.points << " points failed, the first: " << sweep.first_failure);
    CHECK(sweep.failures == 0);
    points += sweep.points;
  }
  std::printf("%zu points\n", points);
  CHECK(points > 500);
}

// The harness itself is put to the test: with a step of the recovery left out, it must find something.
TEST_CASE("a recovery that leaves something undone is noticed") {
  if (!test::kStepperWorks) return;
  const auto failures = [](const RecoverSteps& steps, const std::string& name) {
    for (const Scenario& scenario : scenarios()) {
      if (scenario.name == name) return sweep_states(scenario, steps).failures;
    }
    throw std::runtime_error("no scenario is called " + name);
  };
  CHECK(failures({.put_lock = false}, "put into a new queue") > 0);
  CHECK(failures({.get_lock = false}, "get") > 0);
  CHECK(failures({.segment_lock = false}, "put past the end of a segment") > 0);
  CHECK(failures({.blocks = false}, "put large items, then into blocks used before") > 0);
  CHECK(failures({.leases = false}, "lease and acknowledge") > 0);
  CHECK(failures({}, "lease and acknowledge") == 0);
}
