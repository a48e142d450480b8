#include "supervisor/service.h"

#include <capnp/message.h>

#include <fmt/format.h>

#include <random>
#include <string>
#include <vector>

#include <troupe/errors.h>

#include "process/packet.h"
#include "supervisor/wire.h"

namespace troupe::supervisor {

namespace {

// A process whose actors have names in the tree. What handles among its arguments stand for is kept as long as it may be started.
class NamedWork final : public ProcessWork {
 public:
  NamedWork(process::Root& root, process::ChildSpec process, bool tells_ready) : ProcessWork(std::move(process), tells_ready), root_(root) {
    for (const process::ThingId thing : spec.things) {
      if (root_.hold(thing)) held_.push_back(thing);
    }
  }
  ~NamedWork() override {
    for (const process::ThingId thing : held_) root_.let_go(thing);
  }
  NamedWork(const NamedWork&) = delete;
  NamedWork& operator=(const NamedWork&) = delete;
  std::vector<std::string> names;
  bool supervises = false;

 private:
  process::Root& root_;
  std::vector<process::ThingId> held_;
};

class ProcessForm final : public WorkForm {
 public:
  explicit ProcessForm(process::Root& root) : root_(root) {}
  void write(wire::Child::Builder, const ChildSpec&) const override {}
  [[nodiscard]] std::shared_ptr<const Work> read(wire::Child::Reader from) const override {
    if (!from.isProcess()) throw ProtocolError("root runs processes only");
    const auto given = from.getProcess();
    process::ChildSpec spec;
    spec.entry = reinterpret_cast<process::Entry>(given.getEntry());
    const auto* arguments = reinterpret_cast<const std::byte*>(given.getArguments().begin());
    spec.arguments.assign(arguments, arguments + given.getArguments().size());
    spec.name = from.getId().cStr();
    spec.watchdog = Duration(given.getWatchdog());
    spec.keep_stderr = given.getKeepStderr();
    if (given.hasLimits()) spec.limits = process::read(given.getLimits());
    for (const auto variable : given.getEnvironment()) spec.environment.emplace_back(variable.getName().cStr(), variable.getValue().cStr());
    for (const process::ThingId thing : given.getHandles()) spec.things.push_back(thing);
    auto work = std::make_shared<NamedWork>(root_, std::move(spec), given.getSaysReady());
    for (const auto name : given.getNames()) work->names.emplace_back(name.cStr());
    work->supervises = given.getSupervises();
    return work;
  }

 private:
  process::Root& root_;
};

}  // namespace

// One tree of supervisors, of one process.
class Supervision::Supervised final : public DriverEvents {
 public:
  Supervised(Supervision& all, const Key& key, const SupervisorSpec& spec, std::string name)
      : all_(all), key_(key), name_(std::move(name)), driver_(all.root_, spec, *this, std::random_device()()) {
    declare(spec);
  }

  [[nodiscard]] Driver& driver() { return driver_; }

  // What the names of its actors are to those who look them up before they are there.
  void declare(const ChildSpec& child) {
    if (child.supervisor) return declare(*child.supervisor);
    if (const auto* work = dynamic_cast<const NamedWork*>(child.work.get()))
      for (const auto& name : work->names) {
        all_.root_.declare(name, {});
        names_.push_back(name);
      }
  }
  void declare(const SupervisorSpec& spec) {
    for (const ChildSpec& child : spec.children) declare(child);
  }

  void which_children(std::uint64_t channel, const std::string& under) {
    driver_.tree().visit([&](const Tree::View& view) {
      const auto* work = dynamic_cast<const NamedWork*>(view.child.spec.work.get());
      const bool hosts = work && work->supervises;
      const bool above = hosts && (under + "/").starts_with(view.path + "/");  // who is asked about has its children there
      if (!under.empty() && !view.path.starts_with(under + "/") && !above) return;
      capnp::MallocMessageBuilder message;
      auto child = message.initRoot<wire::News>().initChild();
      write(child, view);
      const auto process = driver_.process_of(view.worker);
      child.setPid(all_.root_.pid(process));
      if (hosts) child.setSupervisor(true);
      if (hosts && view.child.state == ChildState::running) child.setHost(process);
      tell(channel, message);
    });
    answered(channel, Result::ok, {});
  }

  void answered(Request request, Result result, const Death& death) override {
    capnp::MallocMessageBuilder message;
    auto answer = message.initRoot<wire::News>().initAnswer();
    answer.setResult(static_cast<std::uint8_t>(result));
    write(answer.initDeath(), death);
    tell(request, message);
  }

 private:
  void started() override {
    capnp::MallocMessageBuilder message;
    message.initRoot<wire::News>().setStarted();
    tell(key_.second, message);
  }

  void noted(const std::string& path, const command::Note& note, pid_t pid) override {
    if (name_.empty()) return;
    if (const std::string text = describe(name_ + "/" + path, note, pid); !text.empty()) all_.messages_.say(text);
  }

  void ended(const Outcome& outcome, const std::string&) override {
    Death death = outcome.as_death();
    for (const auto& name : names_) all_.root_.withdraw(name, death);
    capnp::MallocMessageBuilder message;
    write(message.initRoot<wire::News>().initEnded(), death);
    tell(key_.second, message);
    // Not here: our driver is at work.
    all_.root_.call_at(Clock::now(), [&all = all_, key = key_] { all.supervised_.erase(key); });
  }

  void tell(std::uint64_t channel, capnp::MessageBuilder& message) const { all_.root_.tell_news(key_.first, channel, bytes_of(message)); }

  Supervision& all_;
  const Key key_;
  const std::string name_;
  std::vector<std::string> names_;
  Driver driver_;
};

Supervision::Supervision(process::Root& root) : root_(root), messages_(root) {}
Supervision::~Supervision() = default;

void Supervision::ordered(process::ProcessId client, std::span<const std::byte> order) {
  read_order(order, [&](wire::Order::Reader what) { obey(client, what); });
}

void Supervision::obey(process::ProcessId client, wire::Order::Reader order) {
  const Key key(client, order.getSupervisor());
  const auto found = supervised_.find(key);
  if (order.isStart()) {
    if (found != supervised_.end()) throw ProtocolError("a supervisor starts once");
    const auto spec = read(order.getStart().getSpec(), ProcessForm(root_));
    auto& added = supervised_[key] = std::make_unique<Supervised>(*this, key, spec, order.getStart().getName().cStr());
    return ending_ ? added->driver().stop() : added->driver().begin();
  }
  const std::uint64_t request = order.getAnswerTo();
  if (found == supervised_.end() || found->second->driver().tree().ended()) {
    if (request == 0) return;
    capnp::MallocMessageBuilder message;
    message.initRoot<wire::News>().initAnswer().setResult(static_cast<std::uint8_t>(Result::shutting_down));
    return root_.tell_news(client, request, bytes_of(message));
  }
  Supervised& supervised = *found->second;
  Driver& driver = supervised.driver();
  const std::string path = order.getPath().cStr();
  const auto cut = path.rfind('/');
  const std::string above = cut == std::string::npos ? "" : path.substr(0, cut), id = path.substr(cut + 1);
  switch (order.which()) {
    case wire::Order::STOP: return driver.stop();
    case wire::Order::KILL: return driver.kill();
    case wire::Order::START_CHILD: {
      const ChildSpec child = read(order.getStartChild(), ProcessForm(root_));
      supervised.declare(child);
      return driver.ask(path, event::StartChild{request, child}, request);
    }
    case wire::Order::TERMINATE_CHILD: return driver.ask(above, event::TerminateChild{request, id}, request);
    case wire::Order::RESTART_CHILD: return driver.ask(above, event::RestartChild{request, id}, request);
    case wire::Order::DELETE_CHILD: return driver.ask(above, event::DeleteChild{request, id}, request);
    case wire::Order::WHICH_CHILDREN: return supervised.which_children(request, path);
    default: throw ProtocolError("unknown order");
  }
}

void Supervision::gone(process::ProcessId client) {
  for (auto& [key, supervised] : supervised_)
    if (key.first == client) supervised->driver().stop();
}

void Supervision::ending(bool at_once) {
  ending_ = true;
  for (auto& [key, supervised] : supervised_) at_once ? supervised->driver().kill() : supervised->driver().stop();
  messages_.flush();
}

}  // namespace troupe::supervisor
