// Supervised children have the handles among their arguments, each time they are started.

#include <signal.h>

#include <chrono>
#include <memory>
#include <string>

#include <troupe/troupe.h>

#include "support/catch.h"
#include "support/leftovers.h"

using namespace std::chrono_literals;
using namespace troupe;

namespace {

// Takes one, and dies of it.
void mayfly(Queue<int> from, Queue<int> to) {
  to.put(from.get());
  raise(SIGKILL);
}

class Keeper final : public Actor {
 public:
  Keeper(Context& context, Queue<int> from, Queue<int> to) : Actor(context) { to.put(from.get()); }
};

}  // namespace

TEST_CASE("a supervised process finds its queues after each restart, though nobody else has them any more") {
  const test::Leftovers leftovers;
  Queue<int> results;
  std::unique_ptr<Supervisor> supervisor;
  {
    Queue<int> work;
    for (int i = 0; i < 3; ++i) work.put(i);
    SupervisorSpec spec{.max_restarts = 100, .backoff = {.min = 0s}};
    supervisor = std::make_unique<Supervisor>("", spec);
    supervisor->start();
    CHECK(supervisor->start_child(Child("mayfly", mayfly, work, results)));
  }
  for (int i = 0; i < 3; ++i) CHECK(results.get(30s) == i);
  supervisor->stop();
}

TEST_CASE("supervised actors are made with handles") {
  const test::Leftovers leftovers;
  const bool one_process = GENERATE(false, true);
  Queue<int> results;
  std::unique_ptr<Supervisor> supervisor;
  {
    Queue<int> work;
    work.put(5);
    SupervisorSpec below{.one_process = one_process};
    below.children.push_back(Child::actor<Keeper>("keeper", work, results));
    SupervisorSpec spec;
    spec.children.emplace_back("pool", below);
    supervisor = std::make_unique<Supervisor>("", spec);
    supervisor->start();
  }
  CHECK(results.get(30s) == 5);
  supervisor->stop();
}
