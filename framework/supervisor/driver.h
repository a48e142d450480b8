#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <unordered_map>

#include "process/root.h"
#include "supervisor/tree.h"

namespace troupe::supervisor {

// A worker that is a process.
class ProcessWork : public Work {
 public:
  explicit ProcessWork(process::ChildSpec process_spec, bool tells_ready) : spec(std::move(process_spec)), says_ready(tells_ready) {}

  const process::ChildSpec spec;
  const bool says_ready;  // else it counts as ready once it is started
};

// What a driver tells whoever runs the tree; called from root's loop.
class DriverEvents {
 public:
  virtual ~DriverEvents() = default;
  // All children are up.
  virtual void started() {}
  // A worker got this process; it is said again after each restart.
  virtual void launched(const std::string& path, process::ProcessId process) { (void)path, (void)process; }
  // A child ended by itself, and what was decided.
  // `pid`: of the process that it was; 0 if it was none.
  virtual void noted(const std::string& path, const command::Note& note, pid_t pid) { (void)path, (void)note, (void)pid; }
  virtual void answered(Request request, Result result, const Death& death) { (void)request, (void)result, (void)death; }
  // The tree is gone: no process of it is left. `path` names outcome.child.
  virtual void ended(const Outcome& outcome, const std::string& path) = 0;
};

// Carries out inside root what a tree of supervisors decides: its commands become calls on Root, Root's events become its events,
// and its deadline a timer. Knows no strategy.
//
//     Driver driver(root, spec, events, seed);
//     driver.begin();
//
// Threads: confined to root's one thread.
class Driver final : private process::ChildEvents {
 public:
  Driver(process::Root& root, const SupervisorSpec& top, DriverEvents& events, std::uint64_t seed);
  ~Driver() override;
  Driver(const Driver&) = delete;

  void begin();
  void stop();  // all, in order
  void kill();  // all, at once
  void ask(std::string_view path, const Event& event, Request request);

  // What runs, and how it is; see Tree::View. Its process with process_of(view.worker).
  [[nodiscard]] const Tree& tree() const { return tree_; }
  [[nodiscard]] process::ProcessId process_of(WorkerId worker) const;

 private:
  void ready(process::ProcessId child) override;
  void ended(process::ProcessId child, const Death& death) override;

  void carry_out(Tree::Commands commands);
  void act(const tree_command::Start& start);
  void act(const tree_command::Stop& stop);
  void act(const tree_command::Kill& kill);
  void act(const tree_command::Started&) { events_.started(); }
  void act(const tree_command::Ended& ended) { events_.ended(ended.outcome, ended.path); }
  void act(const tree_command::Answer& answer) { events_.answered(answer.request, answer.result, answer.death); }
  void act(const tree_command::Note& note) { events_.noted(note.path, note.note, note.path == dying_.path ? dying_.pid : 0); }
  void arm_timer();

  process::Root& root_;
  DriverEvents& events_;
  Tree tree_;
  std::deque<TreeCommand> commands_;
  bool acting_ = false;
  struct Worker {
    WorkerId id = 0;
    std::string path;
    pid_t pid = 0;
  };
  std::unordered_map<process::ProcessId, Worker> workers_;
  Worker dying_;  // whose end is in hand
  std::unordered_map<WorkerId, process::ProcessId> processes_;
  process::Root::TimerId timer_ = 0;
  std::optional<Time> timer_at_;
};

}  // namespace troupe::supervisor
