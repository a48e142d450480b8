#include "support/catch.h"

#include <cstdio>

#include "support/leftovers.h"
#include "sweep_support.h"

using namespace troupe;
using namespace troupe::queue;
using namespace queue_test;

namespace {

std::size_t sweep_all(const std::vector<Scenario>& all) {
  test::Leftovers leftovers;
  std::size_t points = 0;
  for (const Scenario& scenario : all) {
    const auto sweep = sweep_states(scenario);
    INFO(scenario.name << ": " << sweep.failures << " of " << sweep.points << " points failed, the first: " << sweep.first_failure);
    CHECK(sweep.failures == 0);
    points += sweep.points;
  }
  std::printf("%zu points\n", points);
  return points;
}

// How many points fail if a step of the recovery is left out.
std::size_t failures(const RecoverSteps& steps, const std::string& name, const std::vector<Scenario>& all) {
  for (const Scenario& scenario : all) {
    if (scenario.name == name) return sweep_states(scenario, steps).failures;
  }
  throw std::runtime_error("no scenario is called " + name);
}

}  // namespace

// What a queue looks like to the others if a user is killed between any two instructions. SIGKILL leaves memory as it is, so that a
// copy taken between two instructions is what would be left; kill_test.cpp does it for real.
TEST_CASE("wherever a user is killed, nothing is lost, doubled, torn, miscounted or held") {
  if (!test::kStepperWorks) return;
  CHECK(sweep_all(scenarios()) > 500);
}

TEST_CASE("nor in queues with another order") {
  if (!test::kStepperWorks) return;
  CHECK(sweep_all(ordered_scenarios()) > 500);
}

// The harness itself is put to the test: with a step of the recovery left out, it must find something.
TEST_CASE("a recovery that leaves something undone is noticed") {
  if (!test::kStepperWorks) return;
  const auto failures = [](const RecoverSteps& steps, const std::string& name) { return ::failures(steps, name, scenarios()); };
  CHECK(failures({.put_lock = false}, "put into a new queue") > 0);
  CHECK(failures({.get_lock = false}, "get") > 0);
  CHECK(failures({.segment_lock = false}, "put past the end of a segment") > 0);
  CHECK(failures({.blocks = false}, "put large items, then into blocks used before") > 0);
  CHECK(failures({.leases = false}, "lease and acknowledge") > 0);
  CHECK(failures({}, "lease and acknowledge") == 0);
}

TEST_CASE("nor does what is left undone in queues with another order go unnoticed") {
  if (!test::kStepperWorks) return;
  const auto failures = [](const RecoverSteps& steps, const std::string& name) { return ::failures(steps, name, ordered_scenarios()); };
  CHECK(failures({.put_lock = false}, "last in, first out: get") > 0);
  CHECK(failures({.order = false}, "by priority: put before others") > 0);
  CHECK(failures({.order = false}, "by priority: get") > 0);
  CHECK(failures({.blocks = false}, "by priority: put large items, then into blocks used before") > 0);
  CHECK(failures({.leases = false}, "by priority: lease and acknowledge") > 0);
}
