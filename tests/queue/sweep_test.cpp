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
