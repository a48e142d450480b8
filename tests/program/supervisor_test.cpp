// Supervisors as users have them: over real processes, and over actors in one process.

#include <troupe/supervisor.h>

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <stdexcept>

#include "os/proc.h"
#include "program/test_supervisor.capnp.h"
#include "support/catch.h"
#include "support/leftovers.h"

using namespace troupe;
using namespace std::chrono_literals;
using test::Ping;
using test::Pong;

namespace {

void sleep_on() {
  while (true) ::pause();
}

int fail() { return 3; }

void end_well() {}

void never_ready() { sleep_on(); }

class Echo : public Actor {
 public:
  explicit Echo(Context& context, int value) : Actor(context) {
    if (value < 0) throw std::runtime_error("less than nothing");
    on<Ping, Pong>([value](Ping::Reader ping, Pong::Builder pong) {
      if (ping.getFail()) throw std::runtime_error("as you wish");
      pong.setValue(value);
      pong.setPid(::getpid());
    });
  }
};

// Waits until `children` are as `wanted`; what they are is asked of root, and nothing of it is timed.
template <class Wanted>
std::vector<ChildInfo> wait_for(Supervisor& supervisor, const Wanted& wanted) {
  while (true) {
    auto children = supervisor.which_children();
    if (wanted(children)) return children;
    ::usleep(1000);  // only so as not to ask all the time
  }
}

const ChildInfo& named(const std::vector<ChildInfo>& children, const std::string& path) {
  const auto found = std::ranges::find(children, path, &ChildInfo::path);
  REQUIRE(found != children.end());
  return *found;
}

pid_t ping(const Address& address, bool fail_at_it = false) {
  return static_cast<pid_t>(ask<Ping, Pong>(address, [&](Ping::Builder p) { p.setFail(fail_at_it); }).get(20s)->getPid());
}

// The same of whoever has that name by now: one that is just dying may have it a moment longer.
pid_t ping_named(const std::string& name) {
  while (true) {
    try {
      return ping(look_up(name));
    } catch (const ActorDown&) {
    }
  }
}

const ChildOptions kTransient{.restart = Restart::transient};

}  // namespace

TEST_CASE("what is killed comes back, and stop() leaves nothing") {
  const test::Leftovers leftovers;
  Supervisor supervisor("", {.children = {Child("a", sleep_on), Child("b", sleep_on)}});
  supervisor.start();
  const auto before = supervisor.which_children();
  REQUIRE(before.size() == 2);
  CHECK(before[0].path == "a");
  CHECK(before[0].state == ChildState::running);
  ::kill(*before[0].pid, SIGKILL);
  const auto after = wait_for(supervisor, [&](const auto& now) { return now[0].restarts == 1 && now[0].state == ChildState::running; });
  CHECK(after[0].pid != before[0].pid);
  CHECK(after[1].pid == before[1].pid);
  CHECK(after[0].last_death == Death{Death::Cause::signalled, SIGKILL});
  supervisor.stop();
  CHECK(supervisor.death()->cause == Death::Cause::stopped);
  for (const auto& child : after) CHECK(::kill(*child.pid, 0) == -1);
  CHECK_FALSE(supervisor.is_alive());
}

TEST_CASE("one_for_all takes all down and up, also in a supervisor below") {
  Supervisor supervisor("", {.children = {
      Child("alone", sleep_on),
      Child("pair", SupervisorSpec{.strategy = Strategy::one_for_all, .children = {Child("x", sleep_on), Child("y", sleep_on)}})}});
  supervisor.start();
  const auto before = supervisor.which_children();
  REQUIRE(before.size() == 4);
  CHECK(named(before, "pair").supervisor);
  ::kill(*named(before, "pair/y").pid, SIGKILL);
  const auto after = wait_for(supervisor, [&](const auto& now) {
    return std::ranges::all_of(now, [](const ChildInfo& c) { return c.state == ChildState::running; }) && named(now, "pair/y").restarts == 1;
  });
  CHECK(named(after, "pair/x").pid != named(before, "pair/x").pid);
  CHECK(named(after, "alone").pid == named(before, "alone").pid);
  CHECK(supervisor.count_children().specs == 2);
  CHECK(supervisor.count_children().supervisors == 1);
  CHECK(supervisor.count_children("pair").active == 2);
}

TEST_CASE("a supervisor below that gives up is restarted, and in the end the one above gives up") {
  Supervisor supervisor("", {.max_restarts = 2, .children = {Child("below", SupervisorSpec{.max_restarts = 1, .children = {Child("bad", fail)}})}});
  supervisor.start();
  supervisor.join();
  const auto death = supervisor.death();
  CHECK(death->cause == Death::Cause::cascade);
  CHECK(death->detail == "gave up on `below`: went down with another: gave up on `bad`: exited with code 3");
}

TEST_CASE("children come and go") {
  Supervisor supervisor("", {.children = {Child("pool", SupervisorSpec{})}});
  supervisor.start();
  CHECK(supervisor.start_child(Child("a", sleep_on)));
  CHECK(supervisor.start_child(Child("a", sleep_on)).result == ChildResult::already_started);
  CHECK(supervisor.start_child(Child("b", sleep_on), "pool"));
  CHECK(supervisor.start_child(Child("b", sleep_on), "nowhere").result == ChildResult::not_found);
  CHECK(supervisor.delete_child("pool/b").result == ChildResult::running);
  CHECK(supervisor.restart_child("pool/b").result == ChildResult::running);
  CHECK(supervisor.terminate_child("pool/b"));
  CHECK(named(supervisor.which_children(), "pool/b").state == ChildState::stopped);
  CHECK(supervisor.which_children("pool").size() == 1);
  CHECK(supervisor.restart_child("pool/b"));
  CHECK(supervisor.terminate_child("pool/b"));
  CHECK(supervisor.delete_child("pool/b"));
  CHECK(supervisor.terminate_child("pool/b").result == ChildResult::not_found);
  CHECK(supervisor.start_child(Child("c", sleep_on, ChildOptions{.significant = true})).result == ChildResult::invalid);
  const auto bad = supervisor.start_child(Child::actor<Echo>("bad", -1));
  CHECK(bad.result == ChildResult::failed);
  CHECK(bad.death.detail == "the actor could not be made: less than nothing");
  supervisor.stop();
  CHECK(supervisor.terminate_child("a").result == ChildResult::shutting_down);
  CHECK(supervisor.which_children().empty());
}

TEST_CASE("a significant child that ends well ends its supervisor well") {
  Supervisor supervisor("", {.auto_shutdown = AutoShutdown::any_significant,
                             .children = {Child("idle", sleep_on), Child("job", end_well, ChildOptions{.restart = Restart::transient, .significant = true})}});
  supervisor.start();
  supervisor.join();
  CHECK(supervisor.death()->normal());
}

TEST_CASE("a supervisor ends once all is done, if it is told so") {
  Supervisor supervisor("", {.end_when_done = true, .children = {Child("a", end_well, kTransient), Child("b", end_well, kTransient)}});
  supervisor.start();
  supervisor.join();
  CHECK(supervisor.death()->normal());
}

TEST_CASE("a supervisor that cannot start says so, and leaves nothing") {
  const test::Leftovers leftovers;
  Supervisor supervisor("", {.children = {Child("a", sleep_on), Child::actor<Echo>("bad", -1)}});
  CHECK_THROWS_WITH(supervisor.start(), Catch::Contains("`bad`") && Catch::Contains("less than nothing"));
  Supervisor late("", {.children = {Child("late", never_ready, ChildOptions{.start_timeout = 20ms, .says_ready = true})}});
  CHECK_THROWS_WITH(late.start(), Catch::Contains("`late`") && Catch::Contains("ready in time"));
}

TEST_CASE("what cannot be is refused before anything starts") {
  const auto make = [](SupervisorSpec spec) { Supervisor supervisor("", std::move(spec)); };
  CHECK_THROWS_WITH(make({.children = {Child("a", sleep_on), Child("a", sleep_on)}}), "there are two children `a`");
  CHECK_THROWS_WITH(make({.children = {Child("a/b", sleep_on)}}), Catch::Contains("no `/`"));
  CHECK_THROWS_WITH(make({.children = {Child("a", sleep_on, ChildOptions{.significant = true})}}), Catch::Contains("permanent"));
  CHECK_THROWS_WITH(make({.children = {Child("p", SupervisorSpec{.one_process = true, .children = {Child("f", sleep_on)}})}}),
                    Catch::Contains("a function needs a process"));
}

TEST_CASE("an actor comes back under its name, and its old address fails at once") {
  Supervisor supervisor("", {.children = {Child::actor<Echo>("echo-alone", 17)}});
  supervisor.start();
  const Address old = look_up("echo-alone");
  const pid_t pid = ping(old);
  CHECK(pid == *supervisor.which_children()[0].pid);
  ::kill(pid, SIGKILL);
  wait_for(supervisor, [](const auto& now) { return now[0].restarts == 1; });
  CHECK_THROWS_AS(ping(old), ActorDown);
  const Address now = look_up("echo-alone");
  CHECK(now != old);
  CHECK(ping(now) != pid);
}

TEST_CASE("actors in one process are restarted there when a handler throws") {
  Supervisor supervisor("", {.children = {Child("service", SupervisorSpec{.one_process = true, .children = {
      Child::actor<Echo>("first", 1),
      Child("below", SupervisorSpec{.strategy = Strategy::one_for_all, .children = {Child::actor<Echo>("second", 2), Child::actor<Echo>("third", 3)}})}})}});
  supervisor.start();
  const pid_t pid = ping(look_up("first"));
  const Address second = look_up("second"), third = look_up("third"), first = look_up("first");
  CHECK(ping(second) == pid);
  CHECK_THROWS_WITH(ping(second, true), Catch::Contains("as you wish"));
  Address again = look_up("second");
  while (again == second) again = look_up("second");
  CHECK(ping(again) == pid);
  CHECK_THROWS_AS(ping(third), ActorDown);  // one_for_all
  CHECK(ping_named("third") == pid);
  CHECK(ping(first) == pid);  // it was none of its business
  CHECK(supervisor.which_children()[0].restarts == 0);
}

TEST_CASE("actors that are restarted in one process have the whole record of it") {
  Supervisor supervisor("", {.children = {Child("careful", SupervisorSpec{.strategy = Strategy::one_for_all, .one_process = true, .children = {
      Child::actor<Echo>("careful-first", 1), Child::actor<Echo>("careful-second", 2)}})}});
  supervisor.start();
  for (const unsigned before : {0u, 1u}) {
    const Address first = look_up("careful-first"), second = look_up("careful-second");
    try {
      ping(second, true);
      FAIL("it cannot have answered");
    } catch (const ActorDown& down) {
      CHECK(down.death() == Death{Death::Cause::exception, 0, "as you wish"});
      CHECK(down.death().message == "Ping");
      CHECK(down.death().restarts == before);
    }
    while (look_up("careful-first") == first || look_up("careful-second") == second) ::usleep(1000);  // only so as not to ask all the time
    try {
      ping(first);
      FAIL("it cannot have answered");
    } catch (const ActorDown& down) {
      CHECK(down.death() == Death{Death::Cause::cascade, 0, "`careful-second` threw an exception: as you wish"});
      CHECK(down.death().time.time_since_epoch().count() > 0);
    }
  }
}

TEST_CASE("who went down with another has that in its record, wherever that is read") {
  Supervisor supervisor("", {.strategy = Strategy::one_for_all, .children = {Child::actor<Echo>("taken-along", 1), Child("begins", sleep_on)}});
  supervisor.start();
  const Address along = look_up("taken-along");
  ping(along);
  ::kill(*supervisor.which_children()[1].pid, SIGKILL);
  const auto children = wait_for(supervisor, [](const auto& now) { return now[1].restarts == 1 && now[1].state == ChildState::running; });
  const Death wanted{Death::Cause::cascade, 0, "`begins` killed by SIGKILL"};
  CHECK(children[0].last_death == wanted);
  CHECK(children[0].last_death->exitcode() == 1);
  CHECK(children[1].last_death == Death{Death::Cause::signalled, SIGKILL});
  try {
    ping(along);
    FAIL("it cannot have answered");
  } catch (const ActorDown& down) {
    CHECK(down.death() == wanted);
    CHECK(down.death().time == children[0].last_death->time);
  }
}

TEST_CASE("a supervisor of actors in one process is a supervisor, and its children come and go like all others") {
  const bool alone = GENERATE(false, true);
  SupervisorSpec inside{.one_process = true, .children = {
      Child::actor<Echo>("within-first", 1),
      Child("below", SupervisorSpec{.children = {Child::actor<Echo>("within-second", 2)}})}};
  Supervisor supervisor("", alone ? inside : SupervisorSpec{.children = {Child("before", sleep_on), Child("service", inside), Child("after", sleep_on)}});
  supervisor.start();
  const std::string base = alone ? "" : "service", in = alone ? "" : "service/";
  const pid_t pid = ping(look_up("within-first"));
  const auto paths = [&](const std::string& under) {
    std::string all;
    for (const ChildInfo& child : supervisor.which_children(under)) all += child.path + (child.supervisor ? "* " : " ");
    return all;
  };
  if (!alone) {
    CHECK(paths("") == "before service* service/within-first service/below* service/below/within-second after ");
    CHECK(supervisor.count_children().supervisors == 1);
    CHECK(supervisor.count_children().workers == 2);
    CHECK(named(supervisor.which_children(), "service").pid == pid);
  }
  CHECK(paths(base) == in + "within-first " + in + "below* " + in + "below/within-second ");
  CHECK(paths(in + "below") == in + "below/within-second ");
  CHECK(supervisor.count_children(base).specs == 2);
  CHECK(named(supervisor.which_children(), in + "within-first").pid == pid);

  CHECK(supervisor.start_child(Child::actor<Echo>("within-third", 3), in + "below"));
  CHECK(ping(look_up("within-third")) == pid);
  CHECK(supervisor.start_child(Child::actor<Echo>("within-third", 3), in + "below").result == ChildResult::already_started);
  CHECK(supervisor.start_child(Child::actor<Echo>("within-bad", -1), base).death.detail == "less than nothing");
  CHECK_THROWS_AS(supervisor.start_child(Child("function", sleep_on), in + "below"), std::invalid_argument);
  CHECK(supervisor.terminate_child(in + "below/within-third"));
  CHECK(named(supervisor.which_children(), in + "below/within-third").state == ChildState::stopped);
  CHECK(supervisor.restart_child(in + "below/within-third"));
  CHECK(supervisor.delete_child(in + "below/within-third").result == ChildResult::running);
  CHECK(supervisor.terminate_child(in + "below/within-third"));
  CHECK(supervisor.delete_child(in + "below/within-third"));
  CHECK(supervisor.terminate_child(in + "below/nobody").result == ChildResult::not_found);
  CHECK(supervisor.terminate_child("nowhere/nobody").result == ChildResult::not_found);

  const Address first = look_up("within-first");
  CHECK_THROWS_AS(ping(first, true), ActorDown);
  const auto now = wait_for(supervisor, [&](const auto& all) { return named(all, in + "within-first").restarts == 1; });
  CHECK(named(now, in + "within-first").last_death->message == "Ping");
  CHECK(named(now, in + "within-first").pid == pid);
}

TEST_CASE("one process that gives up on its actors is restarted as a whole") {
  Supervisor supervisor("", {.children = {Child("frail", SupervisorSpec{.max_restarts = 1, .one_process = true, .children = {Child::actor<Echo>("frail-echo", 1)}})}});
  supervisor.start();
  const pid_t before = ping(look_up("frail-echo"));
  while (supervisor.which_children()[0].restarts == 0) {
    try {
      ping(look_up("frail-echo"), true);
    } catch (const ActorDown&) {
    }
  }
  CHECK(ping_named("frail-echo") != before);
  CHECK(supervisor.which_children()[0].last_death->detail == "gave up on `frail-echo`: threw an exception: as you wish");
}

TEST_CASE("children go with the process that made their supervisor") {
  const test::Leftovers leftovers;
  Process owner([] {
    Supervisor supervisor("", {.children = {Child("left", sleep_on)}});
    supervisor.start();
    ::kill(::getpid(), SIGKILL);
  });
  owner.start();
  owner.join();
  // Root stops what is left; it is done when root has no other child than us and whoever else a test keeps.
  const pid_t root = ::getppid();
  while (os::children_of(root).size() > 1) ::usleep(1000);  // only so as not to look all the time
  CHECK(os::children_of(root).size() == 1);
}
