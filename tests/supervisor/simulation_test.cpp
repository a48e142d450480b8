// A seeded world around one supervisor: children die, are late, refuse to stop; orders come at any moment; the clock is virtual.
// TROUPE_SEED=n replays one seed, TROUPE_SEEDS=n runs that many.

#include <algorithm>
#include <cstdlib>
#include <map>
#include <random>
#include <set>

#include "supervisor/supervisor.h"
#include "support/catch.h"

using namespace troupe;
using namespace troupe::supervisor;

namespace {

using std::chrono::milliseconds;

class World {
 public:
  explicit World(std::mt19937_64& random) : random_(random), spec_(random_spec()), supervisor_(spec_, random()) {}

  [[nodiscard]] int events() const { return events_; }

  // Empty, or what went wrong.
  std::string run() {
    send(event::Begin{});
    const int steps = 20 + pick(500);
    deaths_ = 1 + pick(20);
    well_ = pick(100);
    for (int i = 0; i < steps && fault_.empty() && !supervisor_.ended(); ++i) disturb();
    if (fault_.empty() && !supervisor_.ended()) calm_down();
    if (fault_.empty() && !supervisor_.ended()) send(event::Stop{});
    for (int i = 0; i < 100000 && fault_.empty() && !supervisor_.ended(); ++i) obey();
    if (fault_.empty() && !supervisor_.ended()) fault_ = "did not end";
    if (fault_.empty() && !lives_.empty()) fault_ = "ended while a child lives";
    if (fault_.empty() && !requests_.empty()) fault_ = "a request was never answered";
    return fault_;
  }

 private:
  struct Living {
    std::string id;
    bool ready = false, asked = false, killed = false;
  };

  int pick(int n) { return static_cast<int>(random_() % static_cast<unsigned>(n)); }
  bool chance(int percent) { return pick(100) < percent; }

  ChildSpec random_child(const std::string& id, AutoShutdown auto_shutdown) {
    ChildSpec child;
    child.id = id;
    child.restart = static_cast<Restart>(pick(3));
    child.significant = auto_shutdown != AutoShutdown::never && child.restart != Restart::permanent && chance(40);
    child.stop_timeout = chance(20) ? Duration::zero() : chance(20) ? kForever : Duration(milliseconds(1 + pick(3000)));
    if (chance(50)) child.start_timeout = milliseconds(1 + pick(2000));
    return child;
  }

  SupervisorSpec random_spec() {
    SupervisorSpec spec;
    spec.strategy = static_cast<Strategy>(pick(3));
    spec.max_restarts = static_cast<unsigned>(chance(50) ? pick(4) : 1000);
    spec.max_seconds = milliseconds(1 + pick(5000));
    spec.auto_shutdown = static_cast<AutoShutdown>(pick(3));
    spec.first_start = static_cast<FirstStart>(pick(2));
    spec.end_when_done = chance(30);
    if (chance(50)) spec.backoff = {.min = milliseconds(1 + pick(200)), .max = milliseconds(1000), .reset = milliseconds(pick(3000))};
    const int children = pick(8);
    for (int i = 0; i < children; ++i) spec.children.push_back(random_child("c" + std::to_string(i), spec.auto_shutdown));
    return spec;
  }

  Death random_death() {
    if (chance(well_)) return {Death::Cause::exited, 0, ""};
    if (chance(30)) return {Death::Cause::exited, 3, ""};
    return chance(80) ? Death{Death::Cause::signalled, 9, ""} : Death{Death::Cause::failed_to_start, 0, ""};
  }

  void disturb() {
    const int what = pick(100);
    if (what < deaths_) die();
    else if (what < 50) advance_clock(milliseconds(pick(700)));
    else if (what < 85) make_ready();
    else if (what < 98) ask();
    else if (what < 99) send(event::Ended{static_cast<Life>(1 + pick(50)) + 100000, random_death()});  // nobody's
    else if (chance(10)) send(chance(70) ? Event(event::Stop{}) : Event(event::Kill{}));
  }

  void advance_clock(Duration step) {
    const Time end = now_ + step;
    while (const auto deadline = supervisor_.deadline()) {
      if (*deadline > end || !fault_.empty()) break;
      const auto before = *deadline;
      now_ = std::max(now_, before);
      send(event::Tick{});
      if (supervisor_.deadline() == before) fault_ = "a tick at the deadline did not move it";
    }
    now_ = std::max(now_, end);
  }

  void make_ready() {
    for (auto& [life, living] : lives_)
      if (!living.ready && chance(60)) {
        living.ready = true;
        return send(event::Ready{life});
      }
  }

  void die() {
    if (lives_.empty()) return;
    auto victim = std::next(lives_.begin(), pick(static_cast<int>(lives_.size())));
    end(victim->first, victim->second.killed ? Death{Death::Cause::signalled, 9, ""} : random_death());
  }

  void end(Life life, const Death& death) {
    lives_.erase(life);
    send(event::Ended{life, death});
  }

  void ask() {
    const std::string id = "c" + std::to_string(pick(10));
    const Request request = ++last_request_;
    requests_.insert(request);
    switch (pick(4)) {
      case 0:
        if (std::ranges::none_of(supervisor_.children(), [&](const Child& child) { return child.spec.id == id; }))
          temporary_started_.erase(id);
        return send(event::StartChild{request, random_child(id, spec_.auto_shutdown)});
      case 1: return send(event::TerminateChild{request, id});
      case 2: return send(event::RestartChild{request, id});
      default: return send(event::DeleteChild{request, id});
    }
  }

  // Every child now behaves: all that are to run must come up.
  void calm_down() {
    for (int i = 0; i < 10000 && fault_.empty() && !supervisor_.ended(); ++i) {
      if (obey()) continue;
      for (const Child& child : supervisor_.children())
        if (child.state != ChildState::running && child.state != ChildState::stopped)
          fault_ = child.spec.id + " hangs: " + name_of(child.state);
      return;
    }
  }

  // One step of a world without faults; false if there is nothing to do.
  bool obey() {
    for (auto& [life, living] : lives_)
      if (living.killed || living.asked) return end(life, {Death::Cause::stopped, 0, ""}), true;
    for (auto& [life, living] : lives_)
      if (!living.ready) {
        living.ready = true;
        return send(event::Ready{life}), true;
      }
    if (const auto deadline = supervisor_.deadline()) return advance_clock(std::max(*deadline - now_, Duration::zero())), true;
    return false;
  }

  void send(const Event& event) {
    ++events_;
    for (const Command& command : supervisor_.handle(event, now_))
      if (fault_.empty()) std::visit([this](const auto& c) { check(c); }, command);
    if (fault_.empty() && supervisor_.counts().active != lives_.size()) fault_ = "counts other children than there are";
    if (fault_.empty() && supervisor_.recent_restarts() > spec_.max_restarts) fault_ = "more restarts than allowed";
  }

  void check(const command::Start& start) {
    if (ended_) fault_ = "a start after the end";
    if (supervisor_.stopping()) fault_ = "a start while stopping";
    for (const auto& [life, living] : lives_)
      if (living.id == start.spec.id) fault_ = "two lives of " + living.id;
    if (lives_.contains(start.life) || start.life <= last_life_) fault_ = "a life used twice";
    last_life_ = start.life;
    // The name may come again if someone adds another child of it.
    if (start.spec.restart == Restart::temporary && !temporary_started_.insert(start.spec.id).second)
      fault_ = "temporary " + start.spec.id + " was restarted";
    check_order(start.spec.id);
    lives_[start.life] = {start.spec.id};
  }

  // Under the strategies that tie children together, those before it are up, or not to run at all.
  void check_order(const std::string& id) {
    if (spec_.strategy == Strategy::one_for_one) return;
    for (const Child& child : supervisor_.children()) {
      if (child.spec.id == id) return;
      if (child.state == ChildState::starting || child.state == ChildState::pending || child.state == ChildState::waiting)
        fault_ = id + " starts before " + child.spec.id + " is up";
    }
  }

  void check(const command::Stop& stop) {
    if (!lives_.contains(stop.life)) fault_ = "asks the dead to stop";
    else if (lives_[stop.life].asked || lives_[stop.life].killed) fault_ = "asks twice to stop";
    else lives_[stop.life].asked = true;
    if (fault_.empty() && supervisor_.stopping()) check_reverse(lives_[stop.life].id);
  }

  // When all stop, those after it are gone.
  void check_reverse(const std::string& id) {
    bool after = false;
    for (const Child& child : supervisor_.children()) {
      if (after && child.alive()) fault_ = id + " is stopped before " + child.spec.id + " is gone";
      after = after || child.spec.id == id;
    }
  }

  void check(const command::Kill& kill) {
    if (!lives_.contains(kill.life)) fault_ = "kills the dead";
    else if (lives_[kill.life].killed) fault_ = "kills twice";
    else lives_[kill.life].killed = true;
  }

  void check(const command::Started&) {
    if (started_) fault_ = "started twice";
    started_ = true;
  }

  void check(const command::Ended& ended) {
    if (!lives_.empty()) fault_ = "ended before its children";
    if (ended_) fault_ = "ended twice";
    if (!started_ && ended.outcome.why == Outcome::Why::done && spec_.auto_shutdown == AutoShutdown::never && !spec_.end_when_done)
      fault_ = "done without a reason";
    ended_ = true;
  }

  void check(const command::Answer& answer) {
    if (requests_.erase(answer.request) == 0) fault_ = "answers what was not asked";
  }

  void check(const command::Note& note) {
    if (note.decision != Decision::restart) return;
    restarts_.push_back(now_);
    const auto recent = std::ranges::count_if(restarts_, [&](Time then) { return now_ - then <= spec_.max_seconds; });
    if (static_cast<std::size_t>(recent) > spec_.max_restarts) fault_ = "too many restarts within the window";
  }

  std::mt19937_64& random_;
  SupervisorSpec spec_;
  Supervisor supervisor_;
  Time now_{};
  std::string fault_;
  std::map<Life, Living> lives_;
  std::set<std::string> temporary_started_;
  std::set<Request> requests_;
  Request last_request_ = 0;
  Life last_life_ = 0;
  bool started_ = false, ended_ = false;
  std::vector<Time> restarts_;
  int events_ = 0;
  int deaths_ = 0, well_ = 0;  // in a hundred
};

// A few hundred events, over one or several lives of a supervisor.
std::string simulate(std::uint64_t seed) {
  std::mt19937_64 random(seed);
  for (int events = 0; events < 400;) {
    World world(random);
    if (const std::string fault = world.run(); !fault.empty()) return fault;
    events += world.events();
  }
  return "";
}

}  // namespace

TEST_CASE("ten thousand random lives of a supervisor keep its promises") {
  if (const char* seed = std::getenv("TROUPE_SEED")) {
    CHECK(simulate(std::stoull(seed)) == "");
    return;
  }
  const char* wanted = std::getenv("TROUPE_SEEDS");
  const std::uint64_t seeds = wanted ? std::stoull(wanted) : 10000;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    const std::string fault = simulate(seed);
    INFO("TROUPE_SEED=" << seed);
    REQUIRE(fault == "");
  }
}
