#include <troupe/supervisor.h>

#include <troupe/ask.h>

#include <capnp/message.h>

#include <algorithm>
#include <set>
#include <variant>

#include "node/node.h"
#include "process/client.h"
#include "process/heart.h"
#include "process/packet.h"
#include "program/local_supervisor.h"
#include "supervisor/wire.h"

namespace troupe {

namespace {

namespace orders = supervisor::wire;

process::Client& client() {
  if (auto* here = process::Client::here()) return *here;
  throw std::logic_error("there is no troupe::Program here: make it the first line of main");
}

}  // namespace

namespace {

// Whom to ask in a process that has children of its own: its first actor. And how long to wait, should that be at something else.
constexpr std::uint32_t kHostSlot = 0;
constexpr std::uint32_t kHostGeneration = 1;
constexpr Duration kHostPatience = std::chrono::seconds(5);

}  // namespace

struct Child::State {
  std::string id;
  ChildOptions options;
  std::variant<detail::Call, detail::ActorCall, SupervisorSpec> what;
};

namespace detail {

struct ChildAccess {
  static const Child::State& state(const Child& child) { return *child.state_; }
};

}  // namespace detail

namespace {

using detail::ActorCall;
using detail::Call;

// What a process of a child is to run, as it is told to root.
class ProcessWork final : public supervisor::Work {
 public:
  process::Entry entry = nullptr;
  std::vector<std::byte> arguments;
  bool says_ready = false;
  Duration watchdog = kForever;
  std::vector<std::pair<std::string, std::string>> environment;
  std::vector<std::string> names;
  std::vector<std::uint64_t> handles;
  bool keep_stderr = false;
  bool supervises = false;
  Limits limits;
};

class ProcessForm final : public supervisor::WorkForm {
 public:
  void write(orders::Child::Builder to, const supervisor::ChildSpec& from) const override {
    const auto& work = dynamic_cast<const ProcessWork&>(*from.work);
    auto told = to.initProcess();
    told.setEntry(reinterpret_cast<std::uint64_t>(work.entry));
    told.setArguments({reinterpret_cast<const capnp::byte*>(work.arguments.data()), work.arguments.size()});
    told.setSaysReady(work.says_ready);
    told.setWatchdog(work.watchdog.count());
    told.setKeepStderr(work.keep_stderr);
    told.setSupervises(work.supervises);
    if (work.limits != Limits{}) process::write(told.initLimits(), work.limits);
    auto environment = told.initEnvironment(static_cast<unsigned>(work.environment.size()));
    for (unsigned i = 0; i < environment.size(); ++i) {
      environment[i].setName(work.environment[i].first);
      environment[i].setValue(work.environment[i].second);
    }
    auto names = told.initNames(static_cast<unsigned>(work.names.size()));
    for (unsigned i = 0; i < names.size(); ++i) names.set(i, work.names[i]);
    told.setHandles(kj::arrayPtr(work.handles.data(), work.handles.size()));
  }
  [[nodiscard]] std::shared_ptr<const supervisor::Work> read(orders::Child::Reader) const override { return nullptr; }
};

supervisor::ChildSpec child_of(const Child& child, bool in_process);

supervisor::SupervisorSpec spec_of(const SupervisorSpec& from, bool in_process) {
  supervisor::SupervisorSpec spec{from.strategy,    from.max_restarts, from.max_seconds, from.auto_shutdown,
                                  from.first_start, from.end_when_done, from.backoff,     {}};
  std::set<std::string> ids;
  for (const Child& child : from.children) {
    const std::string& id = child.id();
    if (id.find('/') != std::string::npos) throw std::invalid_argument("child `" + id + "`: an id has no `/`");
    if (!ids.insert(id).second) throw std::invalid_argument("there are two children `" + id + "`");
    spec.children.push_back(child_of(child, in_process));
    if (const char* problem = spec_problem(spec.children.back(), spec.auto_shutdown)) throw std::invalid_argument("child `" + id + "`: " + problem);
  }
  return spec;
}

void collect_actors(const SupervisorSpec& from, ProcessWork& work) {
  for (const Child& child : from.children) {
    const auto& what = detail::ChildAccess::state(child).what;
    if (const auto* call = std::get_if<ActorCall>(&what)) {
      work.names.push_back(child.id());
      work.handles.insert(work.handles.end(), call->handles.begin(), call->handles.end());
    }
    if (const auto* below = std::get_if<SupervisorSpec>(&what)) collect_actors(*below, work);
  }
}

std::shared_ptr<const supervisor::Work> actor_work(const ActorCall& call) { return std::make_shared<program::ActorWork>(call.make, call.bytes); }

// What of `child` a process of its own runs.
void fill(ProcessWork& work, const Child& child, const Call& call) {
  work.entry = call.run;
  work.arguments = call.bytes;
  work.handles = call.handles;
  work.says_ready = detail::ChildAccess::state(child).options.says_ready;
}

void fill(ProcessWork& work, const Child& child, const ActorCall& call) {
  supervisor::ChildSpec spec{.id = child.id(), .work = actor_work(call)};
  capnp::MallocMessageBuilder message;
  write(message.initRoot<orders::Child>(), spec, program::ActorForm());
  work.entry = &program::host_child;
  work.arguments = supervisor::bytes_of(message);
  work.says_ready = true;
  work.names = {child.id()};
  work.handles = call.handles;
}

void fill(ProcessWork& work, const Child&, const SupervisorSpec& below) {
  capnp::MallocMessageBuilder message;
  write(message.initRoot<orders::Supervisor>(), spec_of(below, true), program::ActorForm());
  work.entry = &program::host_supervisor;
  work.supervises = true;
  work.arguments = supervisor::bytes_of(message);
  work.says_ready = true;
  collect_actors(below, work);
}

supervisor::ChildSpec child_of(const Child& child, bool in_process) {
  const auto& [id, options, what] = detail::ChildAccess::state(child);
  supervisor::ChildSpec spec{.id = id,
                             .restart = options.restart,
                             .significant = options.significant,
                             .stop_timeout = options.stop_timeout,
                             .start_timeout = options.start_timeout};
  const auto* below = std::get_if<SupervisorSpec>(&what);
  if (below && (in_process || !below->one_process)) {
    spec.supervisor = std::make_shared<supervisor::SupervisorSpec>(spec_of(*below, in_process));
  } else if (in_process) {
    const auto* actor = std::get_if<ActorCall>(&what);
    if (!actor) throw std::invalid_argument("child `" + id + "`: a function needs a process, but its supervisor has one_process");
    spec.work = actor_work(*actor);
  } else {
    auto work = std::make_shared<ProcessWork>();
    work->watchdog = options.watchdog;
    work->environment = options.environment;
    work->keep_stderr = options.keep_stderr;
    work->limits = options.limits;
    std::visit([&](const auto& w) { fill(*work, child, w); }, what);
    spec.work = std::move(work);
  }
  return spec;
}

}  // namespace

Child::Child(std::string id, SupervisorSpec supervisor, ChildOptions options)
    : state_(std::make_shared<State>(State{std::move(id), std::move(options), std::move(supervisor)})) {}

Child::Child(std::string id, detail::ActorCall call, ChildOptions options, int)
    : state_(std::make_shared<State>(State{std::move(id), std::move(options), std::move(call)})) {}

void Child::set(std::string id, detail::Call call, ChildOptions options) {
  state_ = std::make_shared<State>(State{std::move(id), std::move(options), std::move(call)});
}

const std::string& Child::id() const { return state_->id; }

struct Supervisor::State {
  State(std::string its_name, supervisor::SupervisorSpec its_spec, std::string process)
      : name(std::move(its_name)), spec(std::move(its_spec)), all_in(std::move(process)) {}
  ~State() {
    if (started) here.close_channel(channel);
  }

  // Says it to root; `fill` is given the order.
  template <class Fill>
  void order(const Fill& fill) const {
    capnp::MallocMessageBuilder message;
    auto order = message.initRoot<orders::Order>();
    order.setSupervisor(channel);
    fill(order);
    here.order(supervisor::bytes_of(message));
  }

  // The same, and waits for the answer; `child` is given each child that comes before it.
  template <class Fill, class OnChild>
  ChildAnswer ask(const Fill& fill, const OnChild& on_child) const {
    if (!started) return {ChildResult::shutting_down, {}};
    const std::uint64_t answers = here.open_channel();
    order([&](orders::Order::Builder order) {
      order.setAnswerTo(answers);
      fill(order);
    });
    std::optional<ChildAnswer> answer;
    for (std::size_t i = 0; !answer; ++i) {
      supervisor::read_news(here.news(answers, i).value(), [&](orders::News::Reader news) {
        if (news.isChild()) on_child(news.getChild());
        if (news.isAnswer()) answer = ChildAnswer{static_cast<ChildResult>(news.getAnswer().getResult()), message::read(news.getAnswer().getDeath())};
      });
    }
    here.close_channel(answers);
    return *answer;
  }
  // About a child of root's or, where that knows none of that path, of a process that has children of its own.
  template <class Fill>
  ChildAnswer ask(const std::string& path, const Fill& fill) const {
    const std::string full = inside(path);
    const auto told = ask([&](orders::Order::Builder order) { order.setPath(full), fill(order, false); }, [](const auto&) {});
    if (told.result != ChildResult::not_found) return told;
    for (const Listed& child : list(full)) {
      if (child.host == 0 || !(full + "/").starts_with(child.info.path + "/")) continue;
      if (node::in_node()) throw std::logic_error("an actor cannot wait for another, which knows of the children in that process");
      try {
        const auto answer = ask_host(child, [&](orders::Order::Builder order) {
          order.setPath(below(child.info.path, full));
          fill(order, true);
        });
        return {static_cast<ChildResult>(answer->getResult()), message::read(answer->getDeath())};
      } catch (const ActorDown& down) {
        return {ChildResult::shutting_down, down.death()};
      }
    }
    return told;
  }

  // A child, and the process that has its children if it is a supervisor with one_process.
  struct Listed {
    ChildInfo info;
    process::ProcessId host = 0;
  };

  static Listed listed(orders::Known::Reader child) {
    Listed known{{child.getPath().cStr(), static_cast<ChildState>(child.getState()), child.getSupervisor(), child.getRestarts(), {}, {}}, child.getHost()};
    if (child.getPid() > 0) known.info.pid = child.getPid();
    if (child.getDied()) known.info.last_death = message::read(child.getDeath());
    return known;
  }

  // Those that root knows below `path`, and above it those with a host.
  [[nodiscard]] std::vector<Listed> list(const std::string& path) const {
    std::vector<Listed> children;
    ask([&](orders::Order::Builder order) { order.setPath(path), order.setWhichChildren(); },
        [&](orders::Known::Reader child) { children.push_back(listed(child)); });
    return children;
  }

  template <class Fill>
  static Message<orders::LocalAnswer> ask_host(const Listed& child, const Fill& fill) {
    return troupe::ask<orders::Order, orders::LocalAnswer>(Address(child.host, kHostSlot, kHostGeneration), fill).get(kHostPatience);
  }

  // The children of a host that are below `path`; none while it has other things to do than to say.
  static void add_hosted(const Listed& host, const std::string& path, std::vector<ChildInfo>& to) {
    if (node::in_node()) return;
    try {
      const auto answer = ask_host(host, [&](orders::Order::Builder order) {
        order.setPath(below(host.info.path, path));
        order.setWhichChildren();
      });
      for (const auto child : answer->getChildren()) {
        to.push_back(listed(child).info);
        to.back().path = host.info.path + "/" + to.back().path;
      }
    } catch (const Error&) {
    }
  }

  // What of `path` is below `above`; nothing if it is not.
  static std::string below(const std::string& above, const std::string& path) { return path.size() > above.size() ? path.substr(above.size() + 1) : ""; }

  // As root knows it.
  [[nodiscard]] std::string inside(const std::string& path) const { return all_in.empty() ? path : path.empty() ? all_in : all_in + "/" + path; }

  // Until it is up, or over; or over. Nothing when `timeout` has passed.
  std::optional<Death> wait(Duration timeout, bool for_start) const {
    const auto deadline = deadline_after(timeout);
    for (std::size_t i = 0;; ++i) {
      const auto left = deadline == Clock::time_point::max() ? kForever : std::max<Duration>(deadline - Clock::now(), Duration::zero());
      const auto bytes = here.news(channel, i, left);
      if (!bytes) return std::nullopt;
      std::optional<Death> death;
      bool up = false;
      supervisor::read_news(*bytes, [&](orders::News::Reader news) {
        up = news.isStarted();
        if (news.isEnded()) death = message::read(news.getEnded());
      });
      if (death || (up && for_start)) return death;
    }
  }

  process::Client& here = client();
  const std::string name;
  const supervisor::SupervisorSpec spec;
  const std::string all_in;  // the id of the one process, if it is all in one
  std::uint64_t channel = 0;
  bool started = false;
};

Supervisor::Supervisor(std::string name, SupervisorSpec spec) {
  const std::string all_in = spec.one_process ? "process" : "";
  if (spec.one_process) spec = SupervisorSpec{.max_restarts = 0, .children = {Child(all_in, std::move(spec))}};
  state_ = std::make_unique<State>(std::move(name), spec_of(spec, false), all_in);
}

Supervisor::~Supervisor() {
  try {
    if (state_->started) stop();
  } catch (const std::exception&) {
    // A fork made by the user: it is not its supervisor.
  }
}

void Supervisor::start() {
  State& s = *state_;
  if (s.started) throw std::logic_error("cannot start a supervisor twice");
  if (s.here.daemon()) throw std::logic_error("a daemon may not have children");
  s.channel = s.here.open_channel();
  s.started = true;
  s.order([&](orders::Order::Builder order) {
    auto start = order.initStart();
    start.setName(s.name);
    write(start.initSpec(), s.spec, ProcessForm());
  });
  if (const auto death = s.wait(kForever, true)) throw SupervisorFailed(*death);
}

void Supervisor::stop() {
  if (!state_->started) return;
  if (!death()) state_->order([](orders::Order::Builder order) { order.setStop(); });
  join();
}

void Supervisor::kill() {
  if (!state_->started) return;
  if (!death()) state_->order([](orders::Order::Builder order) { order.setKill(); });
  join();
}

void Supervisor::join() { join(kForever); }

bool Supervisor::join(Duration timeout) {
  if (!state_->started) throw std::logic_error("this supervisor was not started");
  return state_->wait(timeout, false).has_value();
}

bool Supervisor::is_alive() { return state_->started && !death(); }

std::optional<Death> Supervisor::death() { return state_->started ? state_->wait(Duration::zero(), false) : std::nullopt; }

ChildAnswer Supervisor::start_child(Child child, const std::string& under) {
  const std::string& id = child.id();
  if (id.empty() || id.find('/') != std::string::npos) throw std::invalid_argument("child `" + id + "`: no id for a child");
  return state_->ask(under, [&](orders::Order::Builder order, bool in_process) {
    const auto spec = child_of(child, in_process);
    if (in_process) write(order.initStartChild(), spec, program::ActorForm());
    else write(order.initStartChild(), spec, ProcessForm());
  });
}

ChildAnswer Supervisor::terminate_child(const std::string& path) {
  return state_->ask(path, [](orders::Order::Builder order, bool) { order.setTerminateChild(); });
}

ChildAnswer Supervisor::restart_child(const std::string& path) {
  return state_->ask(path, [](orders::Order::Builder order, bool) { order.setRestartChild(); });
}

ChildAnswer Supervisor::delete_child(const std::string& path) {
  return state_->ask(path, [](orders::Order::Builder order, bool) { order.setDeleteChild(); });
}

std::vector<ChildInfo> Supervisor::which_children(const std::string& under) {
  const std::string path = state_->inside(under);
  std::vector<ChildInfo> children;
  for (const auto& child : state_->list(path)) {
    if (path.empty() || child.info.path.starts_with(path + "/")) children.push_back(child.info);
    if (child.host != 0) State::add_hosted(child, path, children);
  }
  if (!state_->all_in.empty())
    for (ChildInfo& child : children) child.path.erase(0, state_->all_in.size() + 1);
  return children;
}

ChildCounts Supervisor::count_children(const std::string& under) {
  const std::size_t own = under.empty() ? 0 : under.size() + 1;
  ChildCounts counts;
  for (const ChildInfo& child : which_children(under)) {
    if (child.path.find('/', own) != std::string::npos) continue;
    ++counts.specs;
    if (child.state >= ChildState::starting) ++counts.active;
    ++(child.supervisor ? counts.supervisors : counts.workers);
  }
  return counts;
}

void say_ready() { client().ready(); }

void heartbeat() {
  if (process::Heart* heart = process::Heart::here()) heart->awake();
}

}  // namespace troupe
