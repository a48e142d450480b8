#include "topology/run.h"

#include <capnp/message.h>
#include <fmt/format.h>

#include <csignal>
#include <cstring>
#include <random>
#include <string>

#include "process/guard.h"
#include "program/local_supervisor.h"
#include "supervisor/driver.h"
#include "supervisor/messages.h"
#include "supervisor/wire.h"
#include "topology/start.h"
#include "topology/units.h"

namespace troupe::topology {

namespace {

using supervisor::ChildSpec;
using supervisor::Decision;
using supervisor::Outcome;
using supervisor::SupervisorSpec;

// The same tree, of actors that one process makes.
SupervisorSpec of_actors(SupervisorSpec spec, const RunOptions& options) {
  for (ChildSpec& child : spec.children) {
    if (child.supervisor) child.supervisor = std::make_shared<SupervisorSpec>(of_actors(*child.supervisor, options));
    else if (const auto* work = dynamic_cast<const ActorWork*>(child.work.get()))
      child.work = std::make_shared<program::ActorWork>(&make_actor, start_arguments(*work, options.add_actors));
  }
  return spec;
}

// The process that they live in.
std::shared_ptr<const supervisor::Work> one_process(const ChildSpec& child, const OneProcess& work, const RunOptions& options) {
  capnp::MallocMessageBuilder message;
  write(message.initRoot<supervisor::wire::Supervisor>(), of_actors(*child.supervisor, options), program::ActorForm());
  process::ChildSpec process;
  process.entry = &program::host_supervisor;
  process.arguments = supervisor::bytes_of(message);
  process.name = child.id;
  process.watchdog = work.watchdog;
  process.keep_stderr = work.keep_stderr;
  return std::make_shared<supervisor::ProcessWork>(std::move(process), true);
}

// The same tree, of processes that can be started.
SupervisorSpec of_processes(SupervisorSpec spec, const RunOptions& options) {
  for (ChildSpec& child : spec.children) {
    if (const auto* within = dynamic_cast<const OneProcess*>(child.work.get())) {
      child.work = one_process(child, *within, options);
      child.supervisor.reset();
    } else if (child.supervisor) {
      child.supervisor = std::make_shared<SupervisorSpec>(of_processes(*child.supervisor, options));
    } else if (const auto* work = dynamic_cast<const ActorWork*>(child.work.get())) {
      process::ChildSpec process;
      process.entry = &start_actor;
      process.arguments = start_arguments(*work, options.add_actors);
      process.name = work->name;
      process.environment = work->environment;
      process.watchdog = work->watchdog;
      process.keep_stderr = work->keep_stderr;
      child.work = std::make_shared<supervisor::ProcessWork>(std::move(process), true);
    }
  }
  return spec;
}

std::string last_part(const std::string& path) { return path.substr(path.rfind('/') + 1); }

// Runs a topology inside root and tells people about it.
class Runner final : public supervisor::DriverEvents {
 public:
  Runner(process::Root& root, const Topology& topology, const RunOptions& options)
      : root_(root),
        topology_(topology),
        options_(options),
        messages_(root),
        driver_(root, of_processes(topology.supervisor, options), *this, std::random_device()()) {
    declare(topology.supervisor);
    root.choose_links([&topology](const std::string& one, const std::string& other) { return topology.link_between(one, other); });
    root.on_signal([this](int signal) { signalled(signal); });
    root.on_end([this](bool at_once) { at_once ? driver_.kill() : driver_.stop(); });  // guard was killed; or it was us
    root.call_at(Clock::now(), [this] { driver_.begin(); });
  }

 private:
  void declare(const SupervisorSpec& spec) {
    for (const ChildSpec& child : spec.children) {
      if (child.supervisor) declare(*child.supervisor);
      else root_.declare(child.id, {});
    }
  }

  void signalled(int signal) {
    if (signal_ != 0) {
      messages_.say("stopping at once");
      return driver_.kill();
    }
    signal_ = signal;
    std::size_t running = 0;
    driver_.tree().visit([&](const supervisor::Tree::View& view) { running += view.worker != 0; });
    messages_.say(fmt::format("stopping {} process{} in order ({} again: at once)", running, running == 1 ? "" : "es",
                    signal == SIGINT ? "Ctrl-C" : fmt::format("SIG{}", sigabbrev_np(signal))));
    driver_.stop();
  }

  void noted(const std::string& path, const supervisor::command::Note& note, pid_t pid) override {
    if (note.decision == Decision::gave_up) return gave_up(path, note.death);
    if (note.decision == Decision::finished) {
      root_.withdraw(last_part(path), note.death);
      if (!note.death.normal()) failed_ = true;
    }
    if (const std::string text = supervisor::describe(path, note, pid); !text.empty()) messages_.say(text);
  }

  // The supervisors above give up one after the other: what it was about is the first of it, and said once.
  void gave_up(const std::string& path, const Death& death) {
    if (death.cause == Death::Cause::cascade && !reason_.empty()) return;
    const SupervisorSpec& spec = supervisor_of(path);
    reason_ = fmt::format("gave up on `{}`, which ended {} time{} within {}, the last time: {}", path, spec.max_restarts + 1,
                          spec.max_restarts == 0 ? "" : "s", format_duration(spec.max_seconds), death.describe()) +
              supervisor::below(death);
  }

  const SupervisorSpec& supervisor_of(const std::string& path) const {
    const SupervisorSpec* spec = &topology_.supervisor;
    std::size_t begin = 0;
    for (auto end = path.find('/'); end != std::string::npos; begin = end + 1, end = path.find('/', begin))
      for (const ChildSpec& child : spec->children)
        if (child.supervisor && child.id == path.substr(begin, end - begin)) {
          spec = child.supervisor.get();
          break;
        }
    return *spec;
  }

  void ended(const Outcome& outcome, const std::string&) override {
    if (outcome.why == Outcome::Why::gave_up) messages_.say(error_label() + reason_);
    messages_.flush();
    if (signal_ != 0) return root_.end(0, signal_);
    root_.end(outcome.why == Outcome::Why::done && !failed_ ? 0 : 1);
  }

  [[nodiscard]] std::string error_label() const { return options_.color ? "\x1b[1;31merror\x1b[0m: " : "error: "; }

  process::Root& root_;
  const Topology& topology_;
  const RunOptions options_;
  supervisor::Messages messages_;
  supervisor::Driver driver_;
  int signal_ = 0;
  bool failed_ = false;
  std::string reason_;
};

}  // namespace

int run(const Topology& topology, const process::Origin& origin, const RunOptions& options) {
  return process::run_root(origin, [&](process::Root& root) {
    new Runner(root, topology, options);  // for as long as root lives
  });
}

}  // namespace troupe::topology
