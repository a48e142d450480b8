#include "supervisor/tree.h"

#include <algorithm>
#include <map>
#include <random>

#include "script.h"
#include "support/catch.h"

using namespace troupe;
using namespace troupe::supervisor;
using testing::child_spec;
using testing::supervisor_spec;

namespace {

const Death kCrash{Death::Cause::signalled, 11, ""};
const Death kStopped{Death::Cause::stopped, 0, ""};

ChildSpec nested(const char* id, const SupervisorSpec& spec) {
  ChildSpec child = child_spec(id);
  child.stop_timeout = kForever;
  child.supervisor = std::make_shared<SupervisorSpec>(spec);
  return child;
}

// Carries out commands as a willing world would, and remembers what was asked of it.
struct World {
  explicit World(const SupervisorSpec& spec) : tree(spec, 1) { act(tree.begin(now)); }

  void act(const Tree::Commands& commands) {
    for (const auto& command : commands) {
      if (const auto* start = std::get_if<tree_command::Start>(&command)) {
        log += "+" + start->path + " ";
        running[start->path] = start->worker;
        act(tree.ready(start->worker, now));
      } else if (const auto* stop = std::get_if<tree_command::Stop>(&command)) {
        gone(stop->worker);
      } else if (const auto* kill = std::get_if<tree_command::Kill>(&command)) {
        gone(kill->worker);
      } else if (std::holds_alternative<tree_command::Started>(command)) {
        log += "started ";
      } else if (const auto* end = std::get_if<tree_command::Ended>(&command)) {
        log += "ended:" + std::string(testing::word(end->outcome.why)) + ":" + end->path + " ";
        outcome = end->outcome;
      } else if (const auto* answer = std::get_if<tree_command::Answer>(&command)) {
        log += std::string(testing::word(answer->result)) + " ";
      } else if (const auto* note = std::get_if<tree_command::Note>(&command)) {
        notes.push_back(note->path);
      }
    }
  }
  void gone(WorkerId worker) {
    const auto found = std::ranges::find_if(running, [&](const auto& entry) { return entry.second == worker; });
    log += "-" + found->first + " ";
    running.erase(found);
    act(tree.ended(worker, kStopped, now));
  }
  void crash(const std::string& path) {
    const WorkerId worker = running.at(path);
    running.erase(path);
    act(tree.ended(worker, kCrash, now));
  }
  std::string take() { return std::exchange(log, ""); }

  Time now{};
  Tree tree;
  std::map<std::string, WorkerId> running;
  std::string log;
  std::vector<std::string> notes;
  Outcome outcome;
};

SupervisorSpec three_levels(unsigned restarts) {
  auto bottom = supervisor_spec("one_for_one", "x y");
  auto middle = supervisor_spec("one_for_one", "m");
  auto top = supervisor_spec("one_for_one", "a");
  bottom.max_restarts = middle.max_restarts = top.max_restarts = restarts;
  middle.children.push_back(nested("low", bottom));
  top.children.push_back(nested("mid", middle));
  top.children.push_back(child_spec("z"));
  return top;
}

}  // namespace

TEST_CASE("a tree starts depth first and stops in reverse") {
  World world(three_levels(1));
  CHECK(world.take() == "+a +mid/m +mid/low/x +mid/low/y +z started ");
  world.act(world.tree.stop(world.now));
  CHECK(world.take() == "-z -mid/low/y -mid/low/x -mid/m -a ended:stopped: ");
  CHECK(world.tree.ended());
}

TEST_CASE("a supervisor that gives up is restarted by the one above it, and the restarts multiply") {
  World world(three_levels(1));
  world.take();
  world.crash("mid/low/x");
  CHECK(world.take() == "+mid/low/x ");
  world.crash("mid/low/x");  // low gives up; mid starts it anew
  CHECK(world.take() == "-mid/low/y +mid/low/x +mid/low/y ");
  world.crash("mid/low/y");
  world.crash("mid/low/y");  // low again, mid gives up; the top starts it anew
  CHECK(world.take() == "+mid/low/y -mid/low/x -mid/m +mid/m +mid/low/x +mid/low/y ");
  for (int i = 0; i < 4; ++i) world.crash("mid/low/x");
  CHECK(world.take() == "+mid/low/x -mid/low/y +mid/low/x +mid/low/y +mid/low/x -mid/low/y -mid/m -z -a ended:gave_up:mid ");
  CHECK(world.outcome.death.describe() ==
        "went down with another: gave up on `low`: went down with another: gave up on `x`: killed by SIGSEGV");
}

TEST_CASE("with no restarts allowed an end goes all the way up at once") {
  World world(three_levels(0));
  world.take();
  world.crash("mid/low/x");
  CHECK(world.take() == "-mid/low/y -mid/m -z -a ended:gave_up:mid ");
  CHECK(world.notes == std::vector<std::string>{"mid/low/x", "mid/low", "mid"});
}

TEST_CASE("a first start that fails takes the supervisors above with it") {
  auto top = three_levels(3);
  Tree tree(top, 1);
  const auto first = tree.begin({});
  const auto second = tree.ready(std::get<tree_command::Start>(first[0]).worker, {});
  REQUIRE(second.size() == 1);
  const auto third = tree.ended(std::get<tree_command::Start>(second[0]).worker, kCrash, {});
  REQUIRE(third.size() == 1);
  CHECK(std::holds_alternative<tree_command::Stop>(third[0]));
}

TEST_CASE("one_for_all above takes whole subtrees down and up") {
  auto top = supervisor_spec("one_for_all", "a");
  top.children.push_back(nested("s", supervisor_spec("one_for_one", "x y")));
  World world(top);
  world.take();
  world.crash("a");
  CHECK(world.take() == "-s/y -s/x +a +s/x +s/y ");
}

TEST_CASE("a supervisor that is done, is done for the one above") {
  auto inner = supervisor_spec("one_for_one until_done", "x:transient");
  auto top = supervisor_spec("one_for_one until_done", "");
  top.children.push_back(nested("s:transient", inner));
  World world(top);
  world.take();
  world.act(world.tree.ended(world.running.at("s/x"), Death{}, world.now));
  CHECK(world.take() == "ended:done:s ");
}

TEST_CASE("killing a tree kills every worker at once") {
  World world(three_levels(1));
  world.take();
  const auto commands = world.tree.kill(world.now);
  CHECK(std::ranges::count_if(commands, [](const auto& c) { return std::holds_alternative<tree_command::Kill>(c); }) == 5);
}

TEST_CASE("a subtree that does not stop in its time is killed") {
  auto top = supervisor_spec("one_for_one", "");
  auto child = nested("s", supervisor_spec("one_for_one", "x:inf"));
  child.stop_timeout = std::chrono::seconds(1);
  top.children.push_back(child);
  Tree tree(top, 1);
  const auto worker = std::get<tree_command::Start>(tree.begin({})[0]).worker;
  tree.ready(worker, {});
  CHECK(std::holds_alternative<tree_command::Stop>(tree.stop({}).at(0)));
  REQUIRE(tree.deadline() == Time{} + std::chrono::seconds(1));
  CHECK(std::holds_alternative<tree_command::Kill>(tree.tick(Time{} + std::chrono::seconds(1)).at(0)));
  CHECK(std::holds_alternative<tree_command::Ended>(tree.ended(worker, kStopped, {}).at(0)));
}

TEST_CASE("children of any supervisor can be asked for, and seen") {
  World world(three_levels(1));
  world.take();
  world.act(world.tree.ask("mid/low", event::StartChild{7, child_spec("w")}, 7, world.now));
  CHECK(world.take() == "+mid/low/w ok ");
  world.act(world.tree.ask("mid/lo", event::DeleteChild{8, "w"}, 8, world.now));
  CHECK(world.take() == "not_found ");
  std::string seen;
  world.tree.visit([&](const Tree::View& view) {
    seen += view.path + ":" + std::to_string(view.depth) + (view.worker ? "" : "*") + " ";
    if (view.worker) CHECK(view.worker == world.running.at(view.path));
  });
  CHECK(seen == "a:0 mid:0* mid/m:1 mid/low:1* mid/low/x:2 mid/low/y:2 mid/low/w:2 z:0 ");
  world.act(world.tree.stop(world.now));
  world.tree.visit([](const Tree::View&) { FAIL("nothing is left"); });
}

TEST_CASE("random deaths in a random tree leave it whole or ended, and no life behind") {
  for (std::uint64_t seed = 1; seed <= 2000; ++seed) {
    INFO("seed " << seed);
    std::mt19937_64 random(seed);
    const auto pick = [&](unsigned n) { return static_cast<unsigned>(random() % n); };
    const std::function<SupervisorSpec(int)> grow = [&](int depth) {
      SupervisorSpec spec;
      spec.strategy = static_cast<Strategy>(pick(3));
      spec.max_restarts = pick(6);
      spec.first_start = FirstStart::retry;
      if (pick(2)) spec.backoff.min = std::chrono::milliseconds(50);
      for (unsigned i = 0, n = 1 + pick(4); i < n; ++i) {
        const std::string id = std::to_string(i);
        if (depth < 3 && pick(3) == 0) spec.children.push_back(nested(id.c_str(), grow(depth + 1)));
        else spec.children.push_back(child_spec(id + (pick(4) ? "" : ":transient")));
      }
      return spec;
    };
    World world(grow(0));
    for (int i = 0; i < 60 && !world.tree.ended(); ++i) {
      if (!world.running.empty()) world.crash(std::next(world.running.begin(), pick(static_cast<unsigned>(world.running.size())))->first);
      world.now += std::chrono::milliseconds(pick(2000));
      world.act(world.tree.tick(world.now));
    }
    for (int i = 0; i < 100 && world.tree.deadline(); ++i) {
      world.now = *world.tree.deadline();
      world.act(world.tree.tick(world.now));
    }
    std::size_t alive = 0;
    world.tree.visit([&](const Tree::View& view) {
      CHECK(view.child.state == ChildState::running);
      if (view.worker) ++alive;
    });
    REQUIRE(alive == world.running.size());
    world.act(world.tree.stop(world.now));
    REQUIRE(world.tree.ended());
    REQUIRE(world.running.empty());
  }
}
