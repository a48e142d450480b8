#pragma once

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <troupe/death.h>
#include <troupe/duration.h>
#include <troupe/process.h>
#include <troupe/supervision.h>
#include <troupe/supervisor_call.h>

namespace troupe {

struct SupervisorSpec;
namespace detail {
struct ChildAccess;
}

// A process that gives no sign of life for as long as `watchdog` while it has something to do is killed, a quarter of that time later at the latest;
// its Death is `hung`. That is one whose actors' handler loops, waits, or is in a deadlock; a function that called heartbeat() and does so
// no more; and any that is stopped (SIGSTOP). One that sleeps because it has nothing to do costs nobody anything. Not counted is the time
// in which the whole tree was suspended (Ctrl-Z, a laptop's lid) or a debugger held the process, if that was more than a quarter of it.
struct ChildOptions {
  Restart restart = Restart::permanent;
  bool significant = false;                                            // see AutoShutdown
  Duration stop_timeout = std::chrono::seconds(5);                     // from being asked to stop to being killed; 0 kills at once
  Duration start_timeout = kForever;                                   // to be ready: an actor to be made, a function to say_ready()
  bool says_ready = false;                                             // a function that does so; else it counts as ready at once
  Duration watchdog = kForever;                                        // see above
  std::vector<std::pair<std::string, std::string>> environment = {};   // of a process
  bool keep_stderr = false;                                            // its last lines for its Death; printed all the same
  Limits limits = {};                                                  // of a process
};

// What a supervisor keeps alive, under an id that is unique among its siblings.
//
//     Child("logger", write_log, "app.log")                                                  // a process that runs a function
//     Child("worker", work, 7, ChildOptions{.restart = Restart::transient})                  // arguments, options last
//     Child::actor<Counter>("counter", 17)                                                   // Counter(Context&, int)
//     Child("pool", SupervisorSpec{.strategy = Strategy::one_for_all, .children = {…}})      // a supervisor, with children of its own
//
// Functions and arguments are as for Process. An actor gets its id as name in the tree, so that others find it with look_up(), also
// after a restart; a look-up waits while it is being restarted. Its address is a new one then: messages to the old one are dead letters,
// who asks it gets an ActorDown. It lives in a process of its own, or, below a supervisor with `one_process`, with its siblings.
//
// Threads: a value.
class Child {
 public:
  template <class F, class... Args>
    requires(!std::is_same_v<std::remove_cvref_t<F>, SupervisorSpec>)
  Child(std::string id, F function, Args&&... args) {
    ChildOptions options;
    auto call = detail::make_call(options, function, std::forward<Args>(args)...);
    set(std::move(id), std::move(call), std::move(options));
  }
  Child(std::string id, SupervisorSpec supervisor, ChildOptions options = {});

  template <class A, class... Args>
  static Child actor(std::string id, Args&&... args) {
    ChildOptions options;
    auto given = std::forward_as_tuple(std::forward<Args>(args)...);
    constexpr std::size_t kOptions = detail::ends_with_options<ChildOptions, decltype(given)>() ? 1 : 0;
    if constexpr (kOptions == 1) options = std::get<sizeof...(Args) - 1>(given);
    return [&]<std::size_t... I>(std::index_sequence<I...>) {
      return Child(std::move(id), detail::make_actor_call<A>(std::get<I>(std::move(given))...), std::move(options), 0);
    }(std::make_index_sequence<sizeof...(Args) - kOptions>());
  }

  [[nodiscard]] const std::string& id() const;

 private:
  friend struct detail::ChildAccess;
  struct State;
  Child(std::string id, detail::ActorCall call, ChildOptions options, int);
  void set(std::string id, detail::Call call, ChildOptions options);
  std::shared_ptr<const State> state_;
};

// A supervisor and its children, in the order in which they start; they stop in reverse.
struct SupervisorSpec {
  Strategy strategy = Strategy::one_for_one;
  unsigned max_restarts = 3;  // more than that many within max_seconds, and the supervisor gives up: it stops all, and fails itself
  Duration max_seconds = std::chrono::seconds(5);
  AutoShutdown auto_shutdown = AutoShutdown::never;
  FirstStart first_start = FirstStart::abort;
  bool end_when_done = false;  // ends well once its children have ended by themselves and none is to come back
  Backoff backoff = {};
  // All below it are actors and supervisors in one process, restarted there. A handler that throws ends its actor alone; a crash, a
  // hang or giving up ends the process, which is then a child like any other to the supervisor above.
  bool one_process = false;
  std::vector<Child> children = {};
};

// A supervisor did not come up. Its message and death() say which child, and why.
class SupervisorFailed : public std::runtime_error {
 public:
  explicit SupervisorFailed(Death death) : std::runtime_error(death.describe()), death_(std::move(death)) {}
  [[nodiscard]] const Death& death() const { return death_; }

 private:
  Death death_;
};

// What is known of a child.
struct ChildInfo {
  std::string path;  // its id, after those of the supervisors that it is below: "pool/worker"
  ChildState state = ChildState::stopped;
  bool supervisor = false;
  unsigned restarts = 0;            // ever
  std::optional<int> pid;           // of a process that runs
  std::optional<Death> last_death;  // if it ever ended
};

struct ChildCounts {
  std::size_t specs = 0;        // children, running or not
  std::size_t active = 0;       // those that run
  std::size_t supervisors = 0;  // among the specs
  std::size_t workers = 0;
};

// What came of it, and of a child that did not start why.
struct ChildAnswer {
  ChildResult result = ChildResult::ok;
  Death death = {};
  explicit operator bool() const { return result == ChildResult::ok; }
};

// Keeps processes, actors and supervisors alive, as Erlang's do.
//
//     troupe::Supervisor supervisor("shop", {.max_restarts = 5, .children = {
//         troupe::Child("worker", work, 7),
//         troupe::Child::actor<Counter>("counter"),
//     }});
//     supervisor.start();      // all are up
//     …
//     supervisor.stop();       // in reverse order; so does the destructor
//
// It lives in root, not in this process: it restarts children also while this process is busy or stopped. What it does about deaths it
// says on standard error, with its name in front; without a name it is silent.
//
// What holds: at most one life of a child at a time; a death is answered by a restart, by giving up, or by nothing, as the options say.
// When the process that made it dies, in whatever way, its children are stopped in order.
//
// Threads: any, also several at once. Calls wait for root; those that start a child, until it is ready.
class Supervisor {
 public:
  // Throws std::invalid_argument for what cannot be: two children of one id, a significant child that never ends, and so on.
  explicit Supervisor(std::string name, SupervisorSpec spec);
  ~Supervisor();
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;

  // Throws SupervisorFailed when not all could be started; none is left then. Throws std::logic_error when it was started already.
  void start();
  // Ends all, in order or at once, and waits for it.
  void stop();
  void kill();
  // Waits until it has ended: stopped, done, or because it gave up. The second says whether it has in time.
  void join();
  bool join(Duration timeout);
  [[nodiscard]] bool is_alive();
  // How it ended: Death::cascade if it gave up, and on whom.
  [[nodiscard]] std::optional<Death> death();

  // As OTP's functions of these names. Children of supervisors below are named by their path: "pool/worker". Those below one_process are
  // asked for in that process: for up to 5 s, should it be at something else. Then, and from actors' handlers, which cannot wait for others,
  // which_children() leaves them out, and the others throw TimeoutError or std::logic_error.
  ChildAnswer start_child(Child child, const std::string& under = {});
  ChildAnswer terminate_child(const std::string& path);  // it stays known, unless it is temporary
  ChildAnswer restart_child(const std::string& path);    // one that is known, and does not run
  ChildAnswer delete_child(const std::string& path);     // the same: forgets it
  [[nodiscard]] std::vector<ChildInfo> which_children(const std::string& under = {});  // those of supervisors below, too
  [[nodiscard]] ChildCounts count_children(const std::string& under = {});             // its own only

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// This process has started well: for functions with ChildOptions::says_ready.
void say_ready();
// This process gets on: for functions with ChildOptions::watchdog. From the first call on the next must follow within that time.
void heartbeat();

}  // namespace troupe
