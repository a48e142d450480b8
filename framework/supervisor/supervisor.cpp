#include "supervisor/supervisor.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include <fmt/format.h>

namespace troupe::supervisor {

namespace {

using enum ChildState;

// `timeout` from `now`, or nothing if that never comes.
std::optional<Time> after(Time now, Duration timeout) {
  if (timeout >= Time::max() - now) return std::nullopt;
  return now + timeout;
}

// How something ended that we had end for that reason. A supervisor knows no reasons: it says that it stopped.
Death as_told(Death death, const std::optional<Death>& why) {
  if (!why || death.cause != Death::Cause::stopped) return death;
  death.cause = why->cause;
  death.detail = why->detail;
  return death;
}

// What goes down with a child that ended so.
Death going_with(const std::string& child, const Death& death) {
  return {Death::Cause::cascade, 0, fmt::format("`{}` {}", child, death.describe())};
}

}  // namespace

const char* name_of(ChildState state) {
  static constexpr const char* kNames[] = {"stopped", "pending", "waiting", "starting", "running", "stopping", "killing"};
  return kNames[static_cast<std::size_t>(state)];
}

Death Outcome::as_death() const {
  // What was seen of that child is what people need here, too.
  const auto over = [this](Death::Cause cause, const std::string& detail) {
    Death own = death;
    own.cause = cause;
    own.code = 0;
    own.detail = detail;
    own.restarts = 0;
    return own;
  };
  switch (why) {
    case Why::gave_up: return over(Death::Cause::cascade, fmt::format("gave up on `{}`: {}", child, death.describe()));
    case Why::start_failed: return over(Death::Cause::failed_to_start, fmt::format("`{}`: {}", child, death.describe()));
    case Why::done: return {Death::Cause::exited, 0, ""};
    default: return {Death::Cause::stopped, 0, ""};
  }
}

Supervisor::Supervisor(const SupervisorSpec& spec, std::uint64_t seed) : spec_(spec), random_(seed) {
  for (auto& child_spec : spec_.children) {
    Child& child = children_.emplace_back();
    child.spec = std::move(child_spec);
    child.ordered_ = true;
  }
  spec_.children.clear();
}

std::vector<Command> Supervisor::handle(const Event& event, Time now) {
  now_ = now;
  std::visit([this](const auto& e) { on(e); }, event);
  advance();
  return std::exchange(commands_, {});
}

std::optional<Time> Supervisor::deadline() const {
  std::optional<Time> first;
  for (const Child& child : children_)
    if (child.due_ && (!first || *child.due_ < *first)) first = child.due_;
  return first;
}

Supervisor::Counts Supervisor::counts() const {
  Counts counts{};
  for (const Child& child : children_) {
    ++counts.specs;
    if (child.alive()) ++counts.active;
    ++(child.spec.supervisor ? counts.supervisors : counts.workers);
  }
  return counts;
}

void Supervisor::on(const event::Begin&) {
  if (phase_ == Phase::fresh) phase_ = Phase::starting;
}

void Supervisor::on(const event::Ready& event) {
  const auto child = find(event.life);
  if (child == children_.end() || child->state != starting) return;
  child->state = running;
  child->due_.reset();
  child->up_once_ = true;
  child->ready_since_ = now_;
  answer_starters(*child, Result::ok);
}

void Supervisor::on(const event::Ended& event) {
  const auto child = find(event.life);
  if (child == children_.end()) return;
  const Death death = as_told(event.death, std::exchange(child->why_, {}));
  const ChildState before = child->state;
  child->last_death = death;
  child->life_ = 0;
  child->due_.reset();
  child->state = stopped;
  const bool told = before >= ChildState::stopping || child->to_stop_;
  child->to_stop_ = false;
  if (told && child->then_ != Child::Then::fail) return ended_as_told(child);
  if (told) return start_failed(child, death);
  ended_by_itself(child, death, before);
}

void Supervisor::ended_as_told(ChildIt child) {
  answer_stoppers(*child);
  if (phase_ == Phase::stopping) return answer_starters(*child, Result::shutting_down);
  if (child->then_ == Child::Then::stay || child->spec.restart == Restart::temporary) return stay_down(child);
  child->state = pending;
}

// It stays as it is until someone restarts it, if its specification is kept.
void Supervisor::stay_down(ChildIt child) {
  answer_starters(*child, Result::failed, Death{Death::Cause::stopped, 0, ""});
  if (child->spec.restart == Restart::temporary || (!child->ordered_ && !child->up_once_)) return remove(child);
  child->state = stopped;
  child->up_once_ = true;  // nobody waits for it any more
}

// As OTP's do_restart.
void Supervisor::ended_by_itself(ChildIt child, const Death& death, ChildState before) {
  const Restart type = child->spec.restart;
  const bool enough = type == Restart::temporary || (type == Restart::transient && death.normal());
  if (before == starting && !(enough && death.normal())) return start_failed(child, death);
  if (before == starting) {  // did its work before it said that it was ready
    child->up_once_ = true;
    answer_starters(*child, Result::ok);
  } else if (now_ - child->ready_since_ >= spec_.backoff.reset) {
    child->failures_ = 0;
  }
  if (enough) return finish(child, death);
  restart(child, death);
}

void Supervisor::start_failed(ChildIt child, const Death& death) {
  if (!child->waiters_.empty()) {  // start_child and restart_child have no second attempt
    answer_starters(*child, Result::failed, death);
    if (!child->up_once_) remove(child);
    return;
  }
  if (phase_ == Phase::starting && !child->up_once_ && spec_.first_start == FirstStart::abort)
    return shut_down({Outcome::Why::start_failed, child->spec.id, 0, death}, going_with(child->spec.id, death));
  if (child->spec.restart == Restart::temporary) {
    child->up_once_ = true;
    return finish(child, death);
  }
  restart(child, death);
}

void Supervisor::finish(ChildIt child, const Death& death) {
  commands_.emplace_back(command::Note{child->spec.id, death, Decision::finished, Duration::zero(), child->restarts});
  const bool significant = child->spec.significant;
  const Outcome outcome{Outcome::Why::done, child->spec.id, 0, death};
  if (child->spec.restart == Restart::temporary) remove(child);
  const auto going_on = [](const Child& c) { return c.state != stopped; };
  if (significant && spec_.auto_shutdown == AutoShutdown::any_significant) return shut_down(outcome);
  if (significant && spec_.auto_shutdown == AutoShutdown::all_significant &&
      std::ranges::none_of(children_, [&](const Child& c) { return c.spec.significant && going_on(c); }))
    return shut_down(outcome);
  if (spec_.end_when_done && std::ranges::none_of(children_, going_on)) shut_down(outcome);
}

void Supervisor::restart(ChildIt child, const Death& death) {
  if (!allowed_restart()) {
    commands_.emplace_back(command::Note{child->spec.id, death, Decision::gave_up, Duration::zero(), child->restarts});
    return shut_down({Outcome::Why::gave_up, child->spec.id, spec_.max_restarts, death}, going_with(child->spec.id, death));
  }
  ++child->restarts;
  const Duration delay = backoff_delay(spec_.backoff, ++child->failures_, random());
  const Death why = group() ? going_with(child->spec.id, death) : Death{};
  if (spec_.strategy == Strategy::one_for_all)
    for (Child& other : children_) join_restart(other, why);
  if (spec_.strategy == Strategy::rest_for_one)
    for (auto later = std::next(child); later != children_.end(); ++later) join_restart(*later, why);
  child->state = delay > Duration::zero() ? waiting : pending;
  if (child->state == waiting) child->due_ = now_ + delay;
  commands_.emplace_back(command::Note{child->spec.id, death, Decision::restart, delay, child->restarts});
}

// The child goes down and up again with the one that died. As in OTP, one that had ended in peace comes back as well.
void Supervisor::join_restart(Child& child, const Death& why) {
  if (child.alive()) {
    if (child.state < ChildState::stopping) child.why_ = why;
    child.to_stop_ = child.state < ChildState::stopping;
    child.then_ = Child::Then::restart;
  } else {
    child.state = pending;
    child.due_.reset();
  }
}

bool Supervisor::allowed_restart() {
  while (!restarts_.empty() && now_ - restarts_.front() > spec_.max_seconds) restarts_.pop_front();
  if (restarts_.size() >= spec_.max_restarts) return false;
  restarts_.push_back(now_);
  return true;
}

void Supervisor::shut_down(Outcome outcome, const std::optional<Death>& why) {
  if (phase_ >= Phase::stopping) return;
  phase_ = Phase::stopping;
  outcome_ = std::move(outcome);
  for (Child& child : children_) {
    child.then_ = Child::Then::stay;
    if (child.alive()) {
      if (child.state < ChildState::stopping && !child.why_) child.why_ = why;
      child.to_stop_ = child.state < ChildState::stopping;
    } else {
      child.state = stopped;
      child.due_.reset();
      answer_starters(child, Result::shutting_down);
    }
  }
}

void Supervisor::on(const event::Tick&) {
  for (auto child = children_.begin(); child != children_.end(); ++child) {
    if (!child->due_ || *child->due_ > now_) continue;
    child->due_.reset();
    if (child->state == waiting) {
      child->state = pending;
    } else if (child->state == ChildState::stopping) {
      kill(*child);
    } else if (!child->to_stop_) {  // starting
      child->why_ = Death{Death::Cause::not_ready, 0, ""};
      child->then_ = Child::Then::fail;
      tell_to_stop(*child);
    }
  }
}

void Supervisor::on(const event::Stop& event) { shut_down({}, event.why); }

void Supervisor::on(const event::Kill& event) {
  shut_down({}, event.why);
  for (Child& child : children_)
    if (child.alive() && child.state != killing) kill(child);
}

void Supervisor::on(const event::StartChild& event) {
  const auto present = find(event.spec.id);
  if (phase_ >= Phase::stopping) return answer(event.request, Result::shutting_down);
  if (spec_problem(event.spec, spec_.auto_shutdown)) return answer(event.request, Result::invalid);
  if (present != children_.end())
    return answer(event.request, present->alive() ? Result::already_started : Result::already_present);
  Child& child = children_.emplace_back();
  child.spec = event.spec;
  child.waiters_.push_back({event.request, false});
}

void Supervisor::on(const event::TerminateChild& event) {
  const auto child = find(event.id);
  if (child == children_.end()) return answer(event.request, Result::not_found);
  if (!child->alive()) {
    answer(event.request, Result::ok);
    child->due_.reset();
    return stay_down(child);
  }
  child->waiters_.push_back({event.request, true});
  child->then_ = Child::Then::stay;
  if (child->state < ChildState::stopping && phase_ != Phase::stopping) tell_to_stop(*child);
}

void Supervisor::on(const event::RestartChild& event) {
  const auto child = find(event.id);
  if (child == children_.end()) return answer(event.request, Result::not_found);
  if (phase_ >= Phase::stopping) return answer(event.request, Result::shutting_down);
  if (child->alive()) return answer(event.request, Result::running);
  if (child->state != stopped) return answer(event.request, Result::restarting);
  child->state = pending;
  child->waiters_.push_back({event.request, false});
}

void Supervisor::on(const event::DeleteChild& event) {
  const auto child = find(event.id);
  if (child == children_.end()) return answer(event.request, Result::not_found);
  if (child->alive()) return answer(event.request, Result::running);
  if (child->state != stopped) return answer(event.request, Result::restarting);
  remove(child);
  answer(event.request, Result::ok);
}

void Supervisor::advance() {
  if (phase_ == Phase::fresh || phase_ == Phase::ended) return;
  stop_in_reverse();
  if (phase_ != Phase::stopping) start_in_order();
  const auto missing = [](const Child& c) { return c.ordered_ && !c.up_once_; };
  if (phase_ == Phase::starting && std::ranges::none_of(children_, missing)) {
    phase_ = Phase::running;
    commands_.emplace_back(command::Started{});
  }
  if (phase_ == Phase::stopping && std::ranges::none_of(children_, &Child::alive)) {
    phase_ = Phase::ended;
    commands_.emplace_back(command::Ended{outcome_});
  }
}

// One at a time: those before the last that is going down wait until it is gone.
void Supervisor::stop_in_reverse() {
  for (auto child = children_.rbegin(); child != children_.rend(); ++child) {
    if (child->to_stop_) return tell_to_stop(*child);
    if (child->state >= ChildState::stopping && (phase_ == Phase::stopping || child->then_ == Child::Then::restart)) return;
  }
}

// A restart of several children that has not stopped all of them yet.
bool Supervisor::sweeping() const {
  return std::ranges::any_of(children_, [](const Child& c) {
    return c.to_stop_ || (c.state >= ChildState::stopping && c.then_ != Child::Then::stay);
  });
}

void Supervisor::start_in_order() {
  if (group() && sweeping()) return;
  const auto waits = [](const Child& c) { return c.state == waiting; };
  if (spec_.strategy == Strategy::one_for_all && std::ranges::any_of(children_, waits)) return;
  bool all_up_before = true;  // those that some must wait for
  for (Child& child : children_) {
    if (child.state == pending && (all_up_before || !(group() || (child.ordered_ && !child.up_once_)))) launch(child);
    const bool coming = child.state == pending || child.state == waiting || child.state == starting ||
                        (child.state >= ChildState::stopping && child.then_ == Child::Then::fail);
    if (coming && (group() || (child.ordered_ && !child.up_once_))) all_up_before = false;
  }
}

void Supervisor::launch(Child& child) {
  child.state = starting;
  child.life_ = ++lives_;
  child.then_ = Child::Then::stay;
  child.why_.reset();
  child.due_ = after(now_, child.spec.start_timeout);
  commands_.emplace_back(command::Start{child.life_, child.spec, child.restarts});
}

void Supervisor::tell_to_stop(Child& child) {
  child.to_stop_ = false;
  if (child.spec.stop_timeout <= Duration::zero()) return kill(child);
  child.state = ChildState::stopping;
  child.due_ = after(now_, child.spec.stop_timeout);
  commands_.emplace_back(command::Stop{child.life_, child.why_});
}

void Supervisor::kill(Child& child) {
  child.to_stop_ = false;
  child.state = killing;
  child.due_.reset();
  commands_.emplace_back(command::Kill{child.life_, child.why_});
}

void Supervisor::answer(Request request, Result result, const Death& death) {
  commands_.emplace_back(command::Answer{request, result, death});
}

void Supervisor::answer_stoppers(Child& child) {
  for (const auto& waiter : child.waiters_)
    if (waiter.wants_stop) answer(waiter.request, Result::ok);
  std::erase_if(child.waiters_, [](const auto& waiter) { return waiter.wants_stop; });
}

void Supervisor::answer_starters(Child& child, Result result, const Death& death) {
  for (const auto& waiter : child.waiters_)
    if (!waiter.wants_stop) answer(waiter.request, result, death);
  std::erase_if(child.waiters_, [](const auto& waiter) { return !waiter.wants_stop; });
}

void Supervisor::remove(ChildIt child) { children_.erase(child); }

Supervisor::ChildIt Supervisor::find(std::string_view id) {
  return std::ranges::find_if(children_, [&](const Child& child) { return child.spec.id == id; });
}

Supervisor::ChildIt Supervisor::find(Life life) {
  if (life == 0) return children_.end();
  return std::ranges::find_if(children_, [&](const Child& child) { return child.life_ == life; });
}

// splitmix64, the top 53 bits.
double Supervisor::random() {
  std::uint64_t z = random_ += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return static_cast<double>((z ^ (z >> 31)) >> 11) * 0x1.0p-53;
}

}  // namespace troupe::supervisor
