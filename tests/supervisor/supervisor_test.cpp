#include "supervisor/supervisor.h"
#include "supervisor/tree.h"

#include "script.h"
#include "support/catch.h"

using namespace troupe;
using namespace troupe::supervisor;
using testing::Script;
using testing::supervisor_spec;

namespace {

struct Case {
  const char* name;
  const char* flags;
  const char* children;
  const char* script;
};

void check(const std::vector<Case>& cases) {
  for (const auto& [name, flags, children, script] : cases) {
    INFO(name);
    CHECK(Script(supervisor_spec(flags, children)).run(script) == "");
  }
}

}  // namespace

TEST_CASE("children start in order and stop in reverse") {
  check({
      {"each starts when the one before is ready", "one_for_one", "a b c",
       "begin -> start a; ready a -> start b; ready b -> start c; ready c -> started"},
      {"the same under one_for_all", "one_for_all", "a b", "begin -> start a; ready a -> start b; ready b -> started"},
      {"the same under rest_for_one", "rest_for_one", "a b", "begin -> start a; ready a -> start b; ready b -> started"},
      {"nothing to start", "one_for_one", "", "begin -> started"},
      {"begin counts once", "one_for_one", "a", "begin -> start a; begin -> "},
      {"ready counts once", "one_for_one", "a", "up; ready a -> "},
      {"each stops when the one after is gone", "one_for_one", "a b c",
       "up; stop -> stop c; gone c -> stop b; gone b -> stop a; gone a -> ended stopped"},
      {"any end will do", "one_for_one", "a b", "up; stop -> stop b; crash b -> stop a; exit a -> ended stopped"},
      {"one that ends before its turn is not asked", "one_for_one", "a b c",
       "up; stop -> stop c; crash b -> ; gone c -> stop a; gone a -> ended stopped"},
      {"nothing runs", "one_for_one", "", "begin; stop -> ended stopped"},
      {"stopped before it began", "one_for_one", "a", "stop -> ended stopped; begin -> "},
      {"stopped twice", "one_for_one", "a", "up; stop -> stop a; stop -> ; gone a -> ended stopped; stop -> "},
      {"stopped while it starts", "one_for_one", "a b", "begin -> start a; stop -> stop a; ready a -> ; gone a -> ended stopped"},
      {"one is up, one starts", "one_for_one", "a b",
       "begin; ready a -> start b; stop -> stop b; gone b -> stop a; gone a -> ended stopped"},
      {"after the end nothing follows", "one_for_one", "a", "up; stop; gone a -> ended stopped; crash a -> ; tick 9s -> ; kill -> "},
      {"words about an earlier life are ignored", "one_for_one", "a", "up; crash a -> start a; late a -> ; early a -> ; nobody -> ; children -> a starting"},
      {"a child that was added before it began starts with the others", "one_for_one", "a",
       "start_child b -> ; tick 1s -> ; begin -> start a, start b; ready a -> started; ready b -> answer 1 ok"},
  });
}

TEST_CASE("a child that does not stop is killed when its time is up") {
  check({
      {"five seconds by default", "one_for_one", "a", "up; stop -> stop a; tick 4999ms -> ; tick 1ms -> kill a; gone a -> ended stopped"},
      {"its own time", "one_for_one", "a:stop=1s", "up; stop -> stop a; tick 1s -> kill a; tick 9s -> ; crash a -> ended stopped"},
      {"at once", "one_for_one", "a:kill b:kill", "up; stop -> kill b; crash b -> kill a; crash a -> ended stopped"},
      {"never", "one_for_one", "a:inf", "up; stop -> stop a; tick 9999s -> ; gone a -> ended stopped"},
      {"each has its own time", "one_for_one", "a b",
       "up; stop -> stop b; tick 5s -> kill b; gone b -> stop a; tick 4s -> ; tick 1s -> kill a; gone a -> ended stopped"},
      {"the order can be turned into an end at once", "one_for_one", "a b c",
       "up; stop -> stop c; kill -> kill a, kill b, kill c; kill -> ; gone a; gone b; gone c -> ended stopped"},
      {"an end at once without an order before", "one_for_one", "a b", "up; kill -> kill a, kill b; crash b; crash a -> ended stopped"},
      {"an end at once when nothing runs", "one_for_one", "a", "kill -> ended stopped"},
  });
}

TEST_CASE("the restart type decides about a child that ends by itself") {
  check({
      {"permanent, normal", "one_for_one", "a", "up; exit a -> start a"},
      {"permanent, error", "one_for_one", "a", "up; error a -> start a"},
      {"permanent, signal", "one_for_one", "a", "up; crash a -> start a"},
      {"permanent, stopped by a stranger", "one_for_one", "a", "up; gone a -> start a"},
      {"transient, normal", "one_for_one", "a:transient b", "up; exit a -> ; children -> a stopped, b running"},
      {"transient, stopped by a stranger", "one_for_one", "a:transient", "up; gone a -> ; children -> a stopped"},
      {"transient, error", "one_for_one", "a:transient", "up; error a -> start a"},
      {"transient, signal", "one_for_one", "a:transient", "up; crash a -> start a"},
      {"temporary, normal: its specification goes too", "one_for_one", "a:temporary b", "up; exit a -> ; children -> b running"},
      {"temporary, error", "one_for_one", "a:temporary", "up; error a -> ; children -> "},
      {"temporary, signal", "one_for_one", "a:temporary", "up; crash a -> ; children -> "},
      {"a supervisor is a child like any other", "one_for_one", "a:sup", "up; crash a -> start a; ready a -> "},
  });
}

TEST_CASE("one_for_one restarts the child alone") {
  check({
      {"the others go on", "one_for_one", "a b c", "up; crash b -> start b; ready b -> ; children -> a running, b running, c running"},
      {"several at once", "one_for_one 9/5s", "a b c", "up; crash b -> start b; crash a -> start a; ready b; ready a"},
      {"while the first are still starting", "one_for_one", "a b", "begin; ready a -> start b; crash a -> start a; ready b -> started"},
      {"one that was up is restarted during a stop of another", "one_for_one", "a b",
       "up; terminate b -> stop b; crash a -> start a; gone b -> answer 1 ok"},
  });
}

TEST_CASE("one_for_all restarts all") {
  check({
      {"the others stop in reverse, then all start in order", "one_for_all", "a b c",
       "up; crash b -> stop c; gone c -> stop a; gone a -> start a; ready a -> start b; ready b -> start c; ready c -> "},
      {"the first dies", "one_for_all", "a b", "up; crash a -> stop b; gone b -> start a; ready a -> start b"},
      {"the last dies", "one_for_all", "a b", "up; crash b -> stop a; gone a -> start a; ready a -> start b"},
      {"temporary ones stop and do not come back", "one_for_all", "a b:temporary",
       "up; crash a -> stop b; gone b -> start a; ready a -> ; children -> a running"},
      {"the end of a temporary one concerns nobody", "one_for_all", "a b:temporary", "up; crash b -> ; children -> a running"},
      {"the normal end of a transient one concerns nobody", "one_for_all", "a b:transient", "up; exit b -> "},
      {"a transient one that had ended comes back, as in OTP", "one_for_all", "a b:transient",
       "up; exit b -> ; crash a -> start a; ready a -> start b"},
      {"a second death meanwhile joins in and is not counted", "one_for_all 1/5s", "a b c",
       "up; crash b -> stop c; crash a -> ; gone c -> start a; ready a -> start b; ready b -> start c; ready c"},
      {"one that is being stopped gets killed in time", "one_for_all", "a b:stop=1s", "up; crash a -> stop b; tick 1s -> kill b; crash b -> start a"},
      {"a death among the restarted counts again", "one_for_all 2/5s", "a b",
       "up; crash a -> stop b; gone b -> start a; ready a -> start b; crash a -> stop b; gone b -> start a; crash a -> ended gave_up a"},
      {"during the first start", "one_for_all", "a b c",
       "begin; ready a -> start b; ready b -> start c; crash a -> stop c; gone c -> stop b; gone b -> start a; ready a -> start b; "
       "ready b -> start c; ready c -> started"},
      {"stopped meanwhile", "one_for_all", "a b c", "up; crash b -> stop c; stop -> ; gone c -> stop a; gone a -> ended stopped"},
      {"killed at once where told so", "one_for_all", "a:kill b:kill c", "up; crash c -> kill b; crash b -> kill a; gone a -> start a"},
  });
}

TEST_CASE("rest_for_one restarts the child and those after it") {
  check({
      {"the rest stops in reverse and starts in order", "rest_for_one", "a b c d",
       "up; crash b -> stop d; gone d -> stop c; gone c -> start b; ready b -> start c; ready c -> start d; ready d -> "},
      {"the first dies", "rest_for_one", "a b", "up; crash a -> stop b; gone b -> start a; ready a -> start b"},
      {"the last dies", "rest_for_one", "a b", "up; crash b -> start b; ready b -> "},
      {"temporary ones of the rest do not come back", "rest_for_one", "a b:temporary c",
       "up; crash a -> stop c; gone c -> stop b; gone b -> start a; ready a -> start c"},
      {"an earlier one dies meanwhile: more stops", "rest_for_one", "a b c",
       "up; crash b -> stop c; crash a -> ; gone c -> start a; ready a -> start b; ready b -> start c"},
      {"an earlier one dies while the rest starts", "rest_for_one", "a b c",
       "up; crash b -> stop c; gone c -> start b; crash a -> stop b; gone b -> start a; ready a -> start b; ready b -> start c"},
      {"one that does not come up is tried again, the rest waits", "rest_for_one", "a b",
       "up; crash a -> stop b; gone b -> start a; fail a -> start a; ready a -> start b"},
  });
}

TEST_CASE("too many restarts within the window, and the supervisor gives up") {
  check({
      {"none allowed", "one_for_one 0/5s", "a b", "up; crash a -> stop b; gone b -> ended gave_up a"},
      {"one allowed", "one_for_one 1/5s", "a", "up; crash a -> start a; ready a; crash a -> ended gave_up a"},
      {"three allowed, of any children", "one_for_one 3/5s", "a b",
       "up; crash a; ready a; crash b; ready b; crash a; ready a; crash b -> stop a; gone a -> ended gave_up b"},
      {"normal ends of permanent ones count", "one_for_one 1/5s", "a", "up; exit a -> start a; ready a; exit a -> ended gave_up a"},
      {"ends that need no restart do not count", "one_for_one 0/5s", "a:transient b:temporary c", "up; exit a -> ; crash b -> "},
      {"the window slides", "one_for_one 1/5s", "a", "up; crash a -> start a; ready a; wait 5001ms; crash a -> start a"},
      {"its end still counts, as in OTP", "one_for_one 1/5s", "a", "up; crash a -> start a; ready a; wait 5s; crash a -> ended gave_up a"},
      {"old ones leave one by one", "one_for_one 2/10s", "a",
       "up; crash a; ready a; wait 6s; crash a; ready a; wait 6s; crash a -> start a; ready a; wait 3s; crash a -> ended gave_up a"},
      {"a restart of all counts once", "one_for_all 1/5s", "a b c",
       "up; crash a -> stop c; gone c; gone b -> start a; ready a; ready b; ready c; crash c -> stop b; gone b; gone a -> ended gave_up c"},
      {"rest_for_one, too", "rest_for_one 0/5s", "a b c", "up; crash b -> stop c; gone c -> stop a; gone a -> ended gave_up b"},
      {"the end stays the first reason", "one_for_one 0/5s", "a b", "up; crash a -> stop b; stop -> ; gone b -> ended gave_up a"},
      {"and can be hurried", "one_for_one 0/5s", "a b", "up; crash a -> stop b; kill -> kill b; gone b -> ended gave_up a"},
  });
}

TEST_CASE("a child that cannot be started the first time ends the supervisor, as in OTP") {
  check({
      {"the first", "one_for_one", "a b", "begin; fail a -> ended start_failed a"},
      {"a later one: those before stop", "one_for_one", "a b c",
       "begin; ready a; ready b; fail c -> stop b; gone b -> stop a; gone a -> ended start_failed c"},
      {"a crash before it is ready is the same", "one_for_all", "a", "begin; crash a -> ended start_failed a"},
      {"a permanent one that ends well, too", "one_for_one", "a", "begin; exit a -> ended start_failed a"},
      {"a temporary one, too", "one_for_one", "a:temporary", "begin; error a -> ended start_failed a"},
      {"a transient one that ends well has done its work", "one_for_one", "a:transient b", "begin; exit a -> start b; ready b -> started"},
      {"a temporary one, too", "one_for_one", "a:temporary b", "begin; exit a -> start b; ready b -> started; children -> b running"},
      {"not ready in time", "one_for_one", "a:ready=1s", "begin; tick 999ms -> ; tick 1ms -> stop a; gone a -> ended start_failed a"},
      {"nor does it stop", "one_for_one", "a:ready=1s", "begin; tick 1s -> stop a; tick 5s -> kill a; crash a -> ended start_failed a"},
      {"nor is it asked", "one_for_one", "a:ready=1s:kill", "begin; tick 1s -> kill a; crash a -> ended start_failed a"},
      {"ready too late", "one_for_one", "a:ready=1s", "begin; tick 1s -> stop a; ready a -> ; gone a -> ended start_failed a"},
      {"stopped while it is given up", "one_for_one", "a:ready=1s", "begin; tick 1s -> stop a; stop -> ; gone a -> ended stopped"},
      {"one that was up and dies while others start is restarted", "one_for_one", "a b", "begin; ready a; crash a -> start a; fail a -> start a"},
  });
}

TEST_CASE("or, where told so, counts as a restart") {
  check({
      {"again and again", "one_for_one 3/5s retry", "a",
       "begin; error a -> start a; error a -> start a; error a -> start a; error a -> ended gave_up a"},
      {"those after it wait", "one_for_one retry", "a b", "begin; fail a -> start a; ready a -> start b; ready b -> started"},
      {"with back-off between", "one_for_one retry backoff", "a b",
       "begin; fail a -> start a; fail a -> ; children -> a waiting, b pending; tick 100ms -> start a; ready a -> start b"},
      {"not ready in time", "one_for_one retry", "a:ready=1s b", "begin; tick 1s -> stop a; gone a -> start a; ready a -> start b"},
      {"a temporary one is not tried again", "one_for_one retry", "a:temporary b", "begin; fail a -> start b; ready b -> started"},
      {"one_for_all", "one_for_all retry", "a b", "begin; ready a -> start b; fail b -> stop a; gone a -> start a; ready a -> start b"},
      {"rest_for_one", "rest_for_one retry", "a b", "begin; ready a -> start b; fail b -> start b; ready b -> started"},
  });
}

TEST_CASE("a child that cannot be restarted is tried again, from the event loop, until the limit") {
  check({
      {"one_for_one", "one_for_one 3/5s", "a b", "up; crash a -> start a; fail a -> start a; fail a -> start a; fail a -> stop b"},
      {"the others go on meanwhile", "one_for_one 9/5s", "a b", "up; crash a -> start a; fail a -> start a; crash b -> start b; ready b -> "},
      {"one_for_all: all are stopped again", "one_for_all 9/5s", "a b",
       "up; crash a -> stop b; gone b -> start a; ready a -> start b; fail b -> stop a; gone a -> start a; ready a -> start b"},
      {"rest_for_one: those before go on", "rest_for_one 9/5s", "a b c",
       "up; crash a -> stop c; gone c -> stop b; gone b -> start a; ready a -> start b; fail b -> start b; ready b -> start c"},
      {"not ready in time", "one_for_one 1/5s", "a:ready=1s", "up; crash a -> start a; tick 1s -> stop a; gone a -> ended gave_up a"},
      {"a transient one that ends well before it is ready has ended", "one_for_one", "a:transient",
       "up; crash a -> start a; exit a -> ; children -> a stopped"},
      {"a permanent one has not", "one_for_one", "a", "up; crash a -> start a; exit a -> start a"},
  });
}

TEST_CASE("back-off grows, has a limit, is forgotten after a good time, and a stop does not wait for it") {
  check({
      {"the first restart comes at once, the next ones wait", "one_for_one 9/5s backoff", "a",
       "up; crash a -> start a; ready a; crash a -> ; tick 99ms -> ; tick 1ms -> start a; ready a; crash a -> ; tick 199ms -> ; "
       "tick 1ms -> start a; crash a -> ; tick 399ms -> ; tick 1ms -> start a"},
      {"a second at most", "one_for_one 99/5s backoff", "a",
       "up; crash a; crash a; tick 100ms; crash a; tick 200ms; crash a; tick 400ms; crash a; tick 800ms -> start a; crash a; "
       "tick 999ms -> ; tick 1ms -> start a; crash a; tick 1s -> start a"},
      {"forgotten after ten seconds up", "one_for_one 9/5s backoff", "a",
       "up; crash a -> start a; ready a; crash a -> ; tick 100ms -> start a; ready a; wait 10s; crash a -> start a"},
      {"not if it was not up", "one_for_one 9/5s backoff", "a", "up; crash a -> start a; wait 10s; crash a -> "},
      {"each child has its own", "one_for_one 9/5s backoff", "a b", "up; crash a -> start a; ready a; crash a -> ; crash b -> start b"},
      {"stop", "one_for_one backoff", "a b", "up; crash a -> start a; crash a -> ; stop -> stop b; tick 1s -> ; gone b -> ended stopped"},
      {"stop when nothing else runs", "one_for_one backoff", "a", "up; crash a -> start a; crash a -> ; stop -> ended stopped"},
      {"kill", "one_for_one backoff", "a", "up; crash a -> start a; crash a -> ; kill -> ended stopped"},
      {"one_for_all: all are down meanwhile", "one_for_all 9/5s backoff", "a b",
       "up; crash b -> stop a; gone a -> start a; ready a -> start b; crash b -> stop a; gone a -> ; children -> a pending, b waiting; "
       "tick 100ms -> start a; ready a -> start b"},
      {"one_for_all: the wait runs while they stop", "one_for_all 9/5s backoff", "a b",
       "up; crash b -> stop a; gone a -> start a; ready a -> start b; crash b -> stop a; tick 100ms -> ; gone a -> start a"},
      {"rest_for_one: those before are up meanwhile", "rest_for_one 9/5s backoff", "a b c",
       "up; crash b -> stop c; gone c -> start b; crash b -> ; children -> a running, b waiting, c pending; tick 100ms -> start b"},
      {"rest_for_one: an earlier death overtakes the wait", "rest_for_one 9/5s backoff", "a b",
       "up; crash b -> start b; crash b -> ; crash a -> start a; ready a -> start b"},
      {"terminate_child during it cancels the restart", "one_for_one backoff", "a",
       "up; crash a -> start a; crash a -> ; terminate a -> answer 1 ok; tick 1s -> ; children -> a stopped"},
  });
}

TEST_CASE("significant children end their supervisor") {
  check({
      {"any: a transient one ends well", "one_for_one any", "a:transient:sig b", "up; exit a -> stop b; gone b -> ended done a"},
      {"any: a transient one that crashes is restarted", "one_for_one any", "a:transient:sig b", "up; crash a -> start a"},
      {"any: a temporary one ends well", "one_for_one any", "a:temporary:sig b", "up; exit a -> stop b; gone b -> ended done a"},
      {"any: a temporary one crashes", "one_for_one any", "a:temporary:sig b", "up; crash a -> stop b; gone b -> ended done a"},
      {"any: others do not matter", "one_for_one any", "a:transient b:transient:sig", "up; exit a -> "},
      {"all: the last one counts", "one_for_one all", "a:transient:sig b:transient:sig c",
       "up; exit a -> ; exit b -> stop c; gone c -> ended done b"},
      {"all: one in back-off is not yet gone", "one_for_one all backoff", "a:transient:sig b:transient:sig",
       "up; crash a -> start a; crash a -> ; exit b -> ; tick 100ms -> start a; exit a -> ended done a"},
      {"all: of temporary ones", "one_for_one all", "a:temporary:sig b:temporary:sig c", "up; crash a -> ; exit b -> stop c"},
      {"ends that the supervisor wanted do not count", "one_for_one any", "a:transient:sig b",
       "up; terminate a -> stop a; gone a -> answer 1 ok; children -> a stopped, b running"},
      {"nor those of a restart of all", "one_for_all any", "a:transient:sig b", "up; crash b -> stop a; gone a -> start a"},
      {"nor a temporary one's in a restart of all", "one_for_all any", "a:temporary:sig b", "up; crash b -> stop a; gone a -> start b"},
      {"never: nothing ends", "one_for_one", "a:transient:sig", "up; exit a -> "},
      {"done before the others are up", "one_for_one any", "a:transient:sig b", "begin; ready a -> start b; exit a -> stop b; gone b -> ended done a"},
  });
}

TEST_CASE("where told so, a supervisor whose children have all done their work ends") {
  check({
      {"the last one", "one_for_one until_done", "a:transient b:transient", "up; exit a -> ; exit b -> ended done b"},
      {"temporary ones", "one_for_one until_done", "a:temporary", "up; crash a -> ended done a"},
      {"not while one is to come back", "one_for_one until_done backoff", "a:transient b:transient",
       "up; crash a -> start a; crash a -> ; exit b -> ; tick 100ms -> start a; exit a -> ended done a"},
      {"not while one is to start", "one_for_one until_done", "a:transient b", "begin; exit a -> start b"},
      {"not when the last was terminated on request", "one_for_one until_done", "a", "up; terminate a -> stop a; gone a -> answer 1 ok"},
      {"not when it never had any", "one_for_one until_done", "", "begin -> started"},
  });
}

TEST_CASE("children can be added, terminated, restarted and deleted") {
  check({
      {"start_child answers when it is ready", "one_for_one", "a", "up; start_child b -> start b; ready b -> answer 1 ok"},
      {"it is stopped first", "one_for_one", "a", "up; start_child b; ready b; stop -> stop b; gone b -> stop a"},
      {"it is restarted as the others", "one_for_one", "", "begin; start_child b; ready b; crash b -> start b"},
      {"two at once", "one_for_one", "", "begin; start_child a -> start a; start_child b -> start b; ready b -> answer 2 ok"},
      {"the id is running", "one_for_one", "a", "up; start_child a -> answer 1 already_started"},
      {"the id is known", "one_for_one", "a", "up; terminate a; gone a; start_child a -> answer 2 already_present"},
      {"a permanent child cannot be significant", "one_for_one any", "a", "up; start_child b:sig -> answer 1 invalid"},
      {"no significant child without auto_shutdown", "one_for_one", "a", "up; start_child b:sig:transient -> answer 1 invalid"},
      {"nor one without a name", "one_for_one", "a", "up; start_child :transient -> answer 1 invalid"},
      {"one that fails to start is forgotten", "one_for_one 0/5s", "a", "up; start_child b; fail b -> answer 1 failed; children -> a running"},
      {"one that is not ready in time, too", "one_for_one", "", "begin; start_child b:ready=1s; tick 1s -> stop b; gone b -> answer 1 failed"},
      {"one that ends well before that is fine", "one_for_one", "", "begin; start_child b:transient; exit b -> answer 1 ok; children -> b stopped"},
      {"terminated while it starts", "one_for_one", "", "begin; start_child b; terminate b -> stop b; gone b -> answer 2 ok, answer 1 failed; children -> "},
      {"terminated before its turn", "one_for_all", "a", "begin; start_child b; terminate b -> answer 2 ok, answer 1 failed; children -> a starting"},
      {"stopped while it starts", "one_for_one", "", "begin; start_child b; stop -> stop b; gone b -> answer 1 shutting_down, ended stopped"},
      {"stopped before its turn", "one_for_all", "a", "begin; start_child b; stop -> answer 1 shutting_down, stop a"},
      {"not while stopping", "one_for_one", "a", "up; stop; start_child b -> answer 1 shutting_down; restart a -> answer 2 shutting_down"},
      {"a new one joins a restart of all", "one_for_all", "a", "up; start_child b -> start b; crash a -> stop b; gone b -> start a; ready a -> start b; ready b -> answer 1 ok"},
      {"terminate_child", "one_for_one", "a b", "up; terminate a -> stop a; gone a -> answer 1 ok; children -> a stopped, b running"},
      {"it is killed in time", "one_for_one", "a:stop=1s", "up; terminate a -> stop a; tick 1s -> kill a; crash a -> answer 1 ok"},
      {"a temporary one is forgotten", "one_for_one", "a:temporary", "up; terminate a -> stop a; gone a -> answer 1 ok; children -> "},
      {"one that does not run", "one_for_one", "a", "up; terminate a; gone a; terminate a -> answer 2 ok"},
      {"twice at once", "one_for_one", "a", "up; terminate a -> stop a; terminate a -> ; gone a -> answer 1 ok, answer 2 ok"},
      {"an unknown one", "one_for_one", "a", "up; terminate x -> answer 1 not_found"},
      {"of the first, before its turn: those after go on", "one_for_one", "a b c",
       "begin; terminate b -> answer 1 ok; ready a -> start c; ready c -> started"},
      {"of the first, while it starts", "one_for_one", "a b", "begin; terminate a -> stop a, start b; gone a -> answer 1 ok; ready b -> started"},
      {"of a temporary one before its turn", "one_for_one", "a b:temporary", "begin; terminate b -> answer 1 ok; ready a -> started"},
      {"one that was not ready in time", "one_for_one", "a:ready=1s", "begin; tick 1s -> stop a; terminate a -> ; gone a -> answer 1 ok, started"},
      {"while stopping: its turn comes", "one_for_one", "a b", "up; stop -> stop b; terminate a -> ; gone b -> stop a; gone a -> answer 1 ok, ended stopped"},
      {"restart_child", "one_for_one 0/5s", "a b", "up; terminate a; gone a; restart a -> start a; ready a -> answer 2 ok"},
      {"it does not come up", "one_for_one", "a b", "up; terminate a; gone a; restart a -> start a; fail a -> answer 2 failed; children -> a stopped, b running"},
      {"it runs", "one_for_one", "a", "up; restart a -> answer 1 running"},
      {"it is coming anyway", "one_for_one backoff", "a", "up; crash a; crash a; restart a -> answer 1 restarting"},
      {"an unknown one", "one_for_one", "", "begin; restart x -> answer 1 not_found"},
      {"delete_child", "one_for_one", "a b", "up; terminate a; gone a; delete a -> answer 2 ok; children -> b running"},
      {"it runs", "one_for_one", "a", "up; delete a -> answer 1 running"},
      {"it is coming", "one_for_one backoff", "a", "up; crash a; crash a; delete a -> answer 1 restarting"},
      {"an unknown one", "one_for_one", "", "begin; delete x -> answer 1 not_found"},
      {"a terminated one comes back in a restart of all, as in OTP", "one_for_all", "a b", "up; terminate b; gone b; crash a -> start a; ready a -> start b"},
      {"also if it is not yet gone", "one_for_all", "a b", "up; terminate b -> stop b; crash a -> ; gone b -> answer 1 ok, start a; ready a -> start b"},
      {"one_for_all: a stop of one does not hold up a start", "one_for_all", "a b", "up; start_child c -> start c; terminate b -> stop b; ready c -> answer 1 ok"},
  });
}

TEST_CASE("a significant restart joins one that was not ready in time") {
  check({
      {"one_for_all", "one_for_all retry 9/5s", "a b:ready=1s",
       "begin; ready a -> start b; tick 1s -> stop b; crash a -> ; gone b -> start a; ready a -> start b; ready b -> started"},
      {"a sweep leaves one alone whose time to start passes", "one_for_all 9/5s", "a b c:ready=1s",
       "up; crash b -> stop c; gone c -> stop a; gone a -> start a; ready a -> start b; ready b -> start c; crash a -> stop c; tick 1s -> ; "
       "gone c -> stop b"},
      {"marked, not yet told, and late", "one_for_all 9/5s", "a b:ready=1s c",
       "up; start_child d; crash a -> stop d; tick 1s -> ; gone d -> stop c"},
      {"ready while marked", "one_for_all 9/5s", "a b c", "up; terminate b; gone b; restart b -> start b; crash a -> stop c; ready b -> answer 2 ok; gone c -> stop b"},
  });
}

TEST_CASE("children can be counted") {
  Script script(supervisor_spec("one_for_one", "a b:sup c:transient"));
  REQUIRE(script.run("up; exit c") == "");
  const auto counts = script.supervisor().counts();
  CHECK(counts.specs == 3);
  CHECK(counts.active == 2);
  CHECK(counts.supervisors == 1);
  CHECK(counts.workers == 2);
}

TEST_CASE("a child remembers how often it came back and how it ended last") {
  Script script(supervisor_spec("one_for_one", "a:ready=1s"));
  REQUIRE(script.run("up; crash a; ready a; error a") == "");
  const Child& child = script.supervisor().children().front();
  CHECK(child.restarts == 2);
  CHECK(child.last_death == Death{Death::Cause::exited, 3, ""});
  REQUIRE(script.run("tick 1s -> stop a; tick 5s -> kill a; gone a -> start a") == "");
  CHECK(child.last_death->cause == Death::Cause::not_ready);
  CHECK(script.supervisor().recent_restarts() == 1);  // the others were more than five seconds ago
}

TEST_CASE("who goes down with another has that in its record, and who crashes on the way has the crash") {
  Script script(supervisor_spec("one_for_all", "a b c"));
  REQUIRE(script.run("up; crash b -> stop c; gone c -> stop a; error a -> start a") == "");
  const auto& children = script.supervisor().children();
  CHECK(children.back().last_death == Death{Death::Cause::cascade, 0, "`b` killed by SIGSEGV"});
  CHECK(std::next(children.begin())->last_death == Death{Death::Cause::signalled, 11, ""});
  CHECK(children.front().last_death == Death{Death::Cause::exited, 3, ""});
}

TEST_CASE("who goes down because its supervisor gives up on another has that in its record, on all levels below") {
  Script script(supervisor_spec("one_for_one 0/5s", "a b"));
  REQUIRE(script.run("up; error a -> stop b; gone b -> ended gave_up a") == "");
  CHECK(script.supervisor().children().back().last_death == Death{Death::Cause::cascade, 0, "`a` exited with code 3"});

  SupervisorSpec inner = supervisor_spec("one_for_one", "x");
  SupervisorSpec spec = supervisor_spec("one_for_all", "a");
  spec.children.push_back({.id = "inner", .supervisor = std::make_shared<SupervisorSpec>(inner)});
  Tree tree(spec, 1);
  const Time now{std::chrono::hours(1)};
  std::vector<WorkerId> started;
  const auto note = [&](const Tree::Commands& commands) {
    for (const auto& command : commands)
      if (const auto* start = std::get_if<tree_command::Start>(&command)) started.push_back(start->worker);
    return commands;
  };
  note(tree.begin(now));
  note(tree.ready(started.at(0), now));
  note(tree.ready(started.at(1), now));
  const auto stopped = tree.ended(started[0], {Death::Cause::signalled, 9}, now);
  REQUIRE(stopped.size() == 2);
  const auto* stop = std::get_if<tree_command::Stop>(&stopped.back());
  if (!stop) stop = std::get_if<tree_command::Stop>(&stopped.front());
  REQUIRE(stop);
  CHECK(stop->worker == started[1]);
  CHECK(stop->why == Death{Death::Cause::cascade, 0, "`a` killed by SIGKILL"});
}

TEST_CASE("what was decided about a death is told") {
  Script script(supervisor_spec("one_for_one 1/5s backoff", "a b:temporary"));
  REQUIRE(script.run("up; crash b; crash a; ready a; error a") == "");
  REQUIRE(script.notes().size() == 3);
  CHECK(script.notes()[0].decision == Decision::finished);
  CHECK(script.notes()[1].decision == Decision::restart);
  CHECK(script.notes()[1].restarts == 1);
  CHECK(script.notes()[2].decision == Decision::gave_up);
  CHECK(script.notes()[2].child == "a");
  CHECK(script.notes()[2].death.code == 3);
}

TEST_CASE("the deadline is that of the child whose time comes first") {
  Script script(supervisor_spec("one_for_one", "a:stop=3s b:stop=1s c"));
  REQUIRE(script.run("up") == "");
  CHECK_FALSE(script.supervisor().deadline());
  REQUIRE(script.run("terminate a; wait 1s; terminate b; terminate c") == "");
  CHECK(script.supervisor().deadline() == script.now() + std::chrono::seconds(1));
}

TEST_CASE("what the supervisor above sees of an end") {
  const Death crash{Death::Cause::signalled, 11, ""};
  CHECK(Outcome{Outcome::Why::stopped, "", 0, {}}.as_death().normal());
  CHECK(Outcome{Outcome::Why::done, "a", 0, crash}.as_death().normal());
  CHECK_FALSE(Outcome{Outcome::Why::gave_up, "a", 3, crash}.as_death().normal());
  CHECK(Outcome{Outcome::Why::gave_up, "a", 3, crash}.as_death().detail == "gave up on `a`: killed by SIGSEGV");
  CHECK(Outcome{Outcome::Why::start_failed, "a", 0, crash}.as_death().cause == Death::Cause::failed_to_start);
}

TEST_CASE("jitter spreads the wait, and the same seed gives the same waits") {
  auto spec = supervisor_spec("one_for_one 99/5s", "a");
  spec.backoff = {.min = std::chrono::seconds(1), .max = std::chrono::seconds(1), .jitter = 0.5};
  const auto waits = [&](std::uint64_t seed) {
    Supervisor supervisor(spec, seed);
    std::vector<Duration> all;
    Time now{};
    supervisor.handle(event::Begin{}, now);
    for (Life life = 1; life < 30; ++life) {
      for (const auto& command : supervisor.handle(event::Ended{life, {Death::Cause::signalled, 9, ""}}, now))
        if (const auto* note = std::get_if<command::Note>(&command)) all.push_back(note->delay);
      now += std::chrono::seconds(2);
      supervisor.handle(event::Tick{}, now);
    }
    return all;
  };
  spec.first_start = FirstStart::retry;
  const auto first = waits(1);
  REQUIRE(first.size() == 29);
  for (std::size_t i = 1; i < first.size(); ++i) {
    CHECK(first[i] >= std::chrono::milliseconds(500));
    CHECK(first[i] <= std::chrono::milliseconds(1500));
  }
  CHECK(first == waits(1));
  CHECK(first != waits(2));
}
