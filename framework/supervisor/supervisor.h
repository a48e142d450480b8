#pragma once

#include <cstdint>
#include <deque>
#include <list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "supervisor/events.h"
#include "supervisor/spec.h"

namespace troupe::supervisor {

using Time = Clock::time_point;

using troupe::ChildState;
const char* name_of(ChildState state);

struct Child {
  ChildSpec spec;
  ChildState state = ChildState::pending;
  unsigned restarts = 0;  // ever
  std::optional<Death> last_death;

  [[nodiscard]] bool alive() const { return state >= ChildState::starting; }
  // Of the start that it lives by; 0 if it is not alive.
  [[nodiscard]] Life life() const { return life_; }

 private:
  friend class Supervisor;
  // What to do with a child that was told to stop, or will be, once it is gone.
  enum class Then : std::uint8_t { stay, restart, fail };
  struct Waiter { Request request; bool wants_stop; };

  Life life_ = 0;
  bool up_once_ = false;
  bool ordered_ = false;    // one of the first children: starts after those before it
  bool to_stop_ = false;    // stops when those after it are gone
  Then then_ = Then::stay;
  unsigned failures_ = 0;   // in a row
  Time ready_since_{};
  std::optional<Time> due_;  // of waiting, starting and stopping
  std::optional<Death> why_;  // it is to end, where that is not just that somebody wants it: the Death that it then has
  std::vector<Waiter> waiters_;
};

// Decides for one supervisor, whatever its children are: processes, actors in a process, or supervisors. A pure state machine:
// time, random seed and events come in, commands come out, so it can be simulated and replayed.
//
//     Supervisor supervisor(spec, seed);
//     for (const Command& command : supervisor.handle(event::Begin{}, now)) carry_out(command);
//
// Behaves as OTP's supervisor does, where that says something; each start is asynchronous here, so in addition:
// one_for_one restarts children independently of one another; under the other strategies a death during a restart joins it.
// Differences are kept in decisions/ (first start, back-off, the end of a supervisor that gives up).
//
// What it holds to: at most one life of a child at a time; children start in the order of the list, each when the one before is
// ready, and stop in reverse; a temporary child never starts twice; after Ended no command follows. Events of earlier lives are
// ignored, so it does not matter how late they come.
//
// Threads: a value.
class Supervisor {
 public:
  Supervisor(const SupervisorSpec& spec, std::uint64_t seed);

  std::vector<Command> handle(const Event& event, Time now);

  // When to send Tick at the latest, if nothing else happens before.
  [[nodiscard]] std::optional<Time> deadline() const;

  // In start order.
  [[nodiscard]] const std::list<Child>& children() const { return children_; }
  struct Counts { std::size_t specs, active, supervisors, workers; };
  [[nodiscard]] Counts counts() const;
  [[nodiscard]] const SupervisorSpec& spec() const { return spec_; }
  [[nodiscard]] bool ended() const { return phase_ == Phase::ended; }
  [[nodiscard]] bool stopping() const { return phase_ >= Phase::stopping; }
  // Within the window that ends now.
  [[nodiscard]] std::size_t recent_restarts() const { return restarts_.size(); }

 private:
  enum class Phase : std::uint8_t { fresh, starting, running, stopping, ended };
  using ChildIt = std::list<Child>::iterator;

  void on(const event::Begin&);
  void on(const event::Ready& event);
  void on(const event::Ended& event);
  void on(const event::Tick&);
  void on(const event::Stop&);
  void on(const event::Kill&);
  void on(const event::StartChild& event);
  void on(const event::TerminateChild& event);
  void on(const event::RestartChild& event);
  void on(const event::DeleteChild& event);

  void ended_as_told(ChildIt child);
  void stay_down(ChildIt child);
  void ended_by_itself(ChildIt child, const Death& death, ChildState before);
  void start_failed(ChildIt child, const Death& death);
  void finish(ChildIt child, const Death& death);
  void restart(ChildIt child, const Death& death);
  void join_restart(Child& child, const Death& why);
  bool allowed_restart();
  void shut_down(Outcome outcome, const std::optional<Death>& why = {});

  void advance();
  void stop_in_reverse();
  void start_in_order();
  [[nodiscard]] bool group() const { return spec_.strategy != Strategy::one_for_one; }
  [[nodiscard]] bool sweeping() const;
  void launch(Child& child);
  void tell_to_stop(Child& child);
  void kill(Child& child);
  void answer(Request request, Result result, const Death& death = {});
  void answer_stoppers(Child& child);
  void answer_starters(Child& child, Result result, const Death& death = {});
  void remove(ChildIt child);

  ChildIt find(std::string_view id);
  ChildIt find(Life life);
  double random();

  SupervisorSpec spec_;  // without the children, which are below
  std::list<Child> children_;
  Phase phase_ = Phase::fresh;
  Outcome outcome_;
  std::deque<Time> restarts_;  // within the window, oldest first; never more than max_restarts
  Life lives_ = 0;
  std::uint64_t random_;

  Time now_{};                     // of the event in hand
  std::vector<Command> commands_;  // that answer it
};

}  // namespace troupe::supervisor
