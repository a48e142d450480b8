#include "supervisor/driver.h"

#include <utility>

#include "base/check.h"

namespace troupe::supervisor {

Driver::Driver(process::Root& root, const SupervisorSpec& top, DriverEvents& events, std::uint64_t seed)
    : root_(root), events_(events), tree_(top, seed) {}

Driver::~Driver() { root_.cancel(timer_); }

void Driver::begin() { carry_out(tree_.begin(Clock::now())); }
void Driver::stop() { carry_out(tree_.stop(Clock::now())); }
void Driver::kill() { carry_out(tree_.kill(Clock::now())); }

void Driver::ask(std::string_view path, const Event& event, Request request) {
  carry_out(tree_.ask(path, event, request, Clock::now()));
}

process::ProcessId Driver::process_of(WorkerId worker) const {
  const auto found = processes_.find(worker);
  return found == processes_.end() ? process::kNoProcess : found->second;
}

void Driver::ready(process::ProcessId child) {
  if (const auto worker = workers_.find(child); worker != workers_.end()) carry_out(tree_.ready(worker->second.id, Clock::now()));
}

void Driver::ended(process::ProcessId child, const Death& death) {
  const auto found = workers_.find(child);
  if (found == workers_.end()) return;
  dying_ = std::move(found->second);
  workers_.erase(found);
  processes_.erase(dying_.id);
  carry_out(tree_.ended(dying_.id, death, Clock::now()));
}

// What an action causes at once (a worker that is ready by being started) waits until the actions before it are done.
void Driver::carry_out(Tree::Commands commands) {
  for (auto& command : commands) commands_.push_back(std::move(command));
  if (std::exchange(acting_, true)) return;
  while (!commands_.empty()) {
    const TreeCommand command = std::move(commands_.front());
    commands_.pop_front();
    std::visit([this](const auto& c) { act(c); }, command);
  }
  acting_ = false;
  arm_timer();
}

void Driver::act(const tree_command::Start& start) {
  const auto* work = dynamic_cast<const ProcessWork*>(start.spec.work.get());
  TROUPE_CHECK(work, "a worker of a tree in root is a process");
  process::ChildSpec spec = work->spec;
  spec.stop_timeout = start.spec.stop_timeout;
  spec.start_timeout = kForever;  // kept by the supervisor
  spec.restarts = start.restarts;
  const auto process = root_.start(std::move(spec), *this);
  workers_[process] = {start.worker, start.path, root_.pid(process)};
  processes_[start.worker] = process;
  events_.launched(start.path, process);
  if (!work->says_ready) carry_out(tree_.ready(start.worker, Clock::now()));
}

void Driver::act(const tree_command::Stop& stop) {
  const auto process = process_of(stop.worker);
  if (process) stop.why ? root_.stop(process, *stop.why) : root_.stop(process);
}

void Driver::act(const tree_command::Kill& kill) {
  const auto process = process_of(kill.worker);
  if (process) kill.why ? root_.kill(process, *kill.why) : root_.kill(process);
}

void Driver::arm_timer() {
  const auto deadline = tree_.deadline();
  if (deadline == timer_at_) return;
  root_.cancel(std::exchange(timer_, 0));
  timer_at_ = deadline;
  if (!deadline) return;
  timer_ = root_.call_at(*deadline, [this] {
    timer_ = 0;
    timer_at_.reset();
    carry_out(tree_.tick(Clock::now()));
  });
}

}  // namespace troupe::supervisor
