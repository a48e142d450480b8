// What the templates of <troupe/actor.h> and <troupe/ask.h> call: in an actor its node's core, elsewhere the way in from outside.

#include <troupe/actor.h>
#include <troupe/catalog.h>
#include <troupe/errors.h>
#include <pthread.h>

#include <mutex>
#include <stdexcept>

#include "base/check.h"
#include "node/core.h"

namespace troupe::node {

namespace {

// What this process as a whole has, for threads that are in no Scope.
struct ProcessNode {
  std::mutex mutex;
  Function<Node&()> make;
  std::atomic<Core*> core{nullptr};
};

ProcessNode& process_node() {
  static ProcessNode* const node = [] {
    ::pthread_atfork(nullptr, nullptr, [] { process_node().core = nullptr; });  // the thread that runs it is not in the fork
    return new ProcessNode;                                                      // threads may use it until the process has ended
  }();
  return *node;
}

thread_local Core* scope_core = nullptr;

Core& make_process_core() {
  auto& process = process_node();
  const std::lock_guard lock(process.mutex);
  if (Core* core = process.core.load(std::memory_order_relaxed)) return *core;
  if (!process.make) throw std::logic_error("actors need a troupe::Program: make it the first line of main");
  Core* core = &process.make().core();
  process.core.store(core, std::memory_order_release);
  return *core;
}

// The node that a thread which runs none belongs to.
Core& outer_core() {
  if (scope_core) return *scope_core;
  auto& process = process_node();
  Core* core = process.core.load(std::memory_order_acquire);
  return core ? *core : make_process_core();
}

// The core whose thread this is; an actor's own functions run nowhere else.
Core& inner_core() {
  Core* core = Core::current();
  TROUPE_CHECK(core, "this belongs to the thread of the actor");
  return *core;
}

void check_not_in_actor() {
  if (Core::current()) throw std::logic_error("this would block all actors of the process: use the actor's own member instead");
}

// send(), a message to that process. What handles in it stand for is kept from before it leaves until it is read there.
template <class Send>
auto with_handles(Core& core, std::uint64_t process, const detail::Payload& payload, Send send) {
  if (!payload.handles) [[likely]] return send();
  core.tree().give(process, *payload.handles);
  try {
    auto sent = send();
    if (!sent) core.tree().take_back(process, *payload.handles);
    return sent;
  } catch (...) {
    core.tree().take_back(process, *payload.handles);
    throw;
  }
}

bool send_from_here(std::uint64_t process, const message::FrameHeader& header, const detail::Payload& payload,
                    detail::WhenFull when_full) {
  Core* inner = Core::current();
  Core& core = inner ? *inner : outer_core();
  return with_handles(core, process, payload, [&] {
    return inner ? inner->send(process, header, payload, when_full) : core.outside().send(process, header, payload, when_full);
  });
}

}  // namespace

Node::Scope::Scope(Node& node) : before_(std::exchange(scope_core, &node.core())) {}
Node::Scope::~Scope() { scope_core = before_; }

void set_process_node(Function<Node&()> make) {
  auto& process = process_node();
  const std::lock_guard lock(process.mutex);
  process.make = std::move(make);
  process.core = nullptr;
}

bool in_node() { return Core::current() != nullptr; }

void stop_actor(const Address& actor, const std::optional<Death>& death) { inner_core().stop_actor({actor.slot, actor.generation}, death); }
void end_actor(const Address& actor, const std::optional<Death>& death) { inner_core().end_actor({actor.slot, actor.generation}, death); }
Address spawn_here(Function<std::unique_ptr<Actor>(Context&)> make, std::uint32_t restarts) { return inner_core().spawn(make, restarts); }
void register_name(const std::string& name, const Address& actor) { inner_core().tree().register_name(name, actor); }
void stop_all_here() { inner_core().stop_all(); }
void keep_by(const Address& actor) { inner_core().set_keeper({actor.slot, actor.generation}); }

}  // namespace troupe::node

namespace troupe::detail {

using message::FrameHeader;
using message::Kind;
using node::Core;
using node::inner_core;
using node::outer_core;
using NodeQuestion = node::Question;

bool send(const Address& to, const Payload& payload, WhenFull when_full) {
  Core* core = Core::current();
  FrameHeader header{.kind = Kind::message, .to_slot = to.slot, .to_generation = to.generation};
  if (const Cell* cell = core ? core->running() : nullptr) {
    header.from_slot = cell->self.slot;
    header.from_generation = cell->self.generation;
  }
  return node::send_from_here(core && !to ? core->self() : to.process, header, payload, when_full);
}

void ReplyTo::reply(const Payload& payload) {
  FrameHeader header{.kind = Kind::reply, .to_slot = asker_.slot, .to_generation = asker_.generation};
  header.from_slot = asked_.slot;
  header.from_generation = asked_.generation;
  header.correlation = std::exchange(correlation_, 0);
  node::send_from_here(asker_.process, header, payload, WhenFull::wait);
}

void ReplyTo::fail(const std::string& why) {
  const FrameHeader header{.kind = Kind::refused, .correlation = std::exchange(correlation_, 0)};
  message::with_refusal(why, [&](const Payload& payload) {
    return node::send_from_here(asker_.process, header, payload, WhenFull::wait);
  });
}

void ReplyTo::drop() noexcept {
  try {
    if (Core* core = Core::current()) {
      core->dropped(asker_.process, std::exchange(correlation_, 0));
    } else {
      fail("the actor dropped the request without an answer");
    }
  } catch (...) {  // there is no node any more: the asker hears that
  }
}

void Handlers::set(Entry entry) {
  entry.name = entry.takes.getProto().getDisplayName().cStr();
  if (Entry* same = find(entry.schema)) {
    replaced_.push_back(std::move(same->handler));
    *same = std::move(entry);
    return;
  }
  if (2 * ++used_ > entries_.size()) {
    auto old = std::exchange(entries_, std::vector<Entry>(2 * entries_.size()));
    mask_ = entries_.size() - 1;
    for (Entry& one : old) {
      if (one.schema != 0) place(std::move(one));
    }
  }
  place(std::move(entry));
}

void Handlers::place(Entry entry) {
  std::size_t i = entry.schema & mask_;
  while (entries_[i].schema != 0) i = (i + 1) & mask_;
  entries_[i] = std::move(entry);
}

Address spawn(Function<std::unique_ptr<Actor>(Context&)> make) {
  if (Core* core = Core::current()) return core->spawn(make);
  Core& core = outer_core();
  Address address;
  core.outside().call([&] { address = core.spawn(make); });
  return address;
}

void on_outcome(Question question, Function<void(const Outcome&)> then) {
  if (NodeQuestion* open = inner_core().question(question.id)) open->then = std::move(then);
}

void cancel(Question question) {
  Core& core = inner_core();
  if (NodeQuestion* open = core.question(question.id)) core.close_question(*open, true);
}

Outcome Wait::get(Duration timeout) {
  node::check_not_in_actor();
  return waiter_->wait(timeout);
}

Wait ask_and_wait(const Address& to, const Payload& payload, NameOf request) {
  node::check_not_in_actor();
  Core& core = outer_core();
  return node::with_handles(core, to.process, payload, [&] { return core.outside().ask(to, payload, request); });
}

}  // namespace troupe::detail

namespace troupe {

Address look_up(const std::string& name, Duration timeout) {
  node::check_not_in_actor();
  auto& core = node::outer_core();
  auto waiter = std::make_shared<detail::Waiter>(node::Asking{.name = name});
  core.outside().call([&] {
    auto& question = core.open_question(node::Question::Kind::name, kForever);
    question.waiter = waiter;
    core.look_up(question, name);
  });
  return waiter->wait(timeout).found;
}

Address Actor::self() const { return cell_.self; }

Address Actor::sender() const {
  return cell_.incoming && cell_.incoming->sender.generation != 0 ? cell_.incoming->sender : Address();
}

detail::Question Actor::start_ask(const Address& address, const detail::Payload& payload, detail::NameOf request,
                                  Duration timeout) {
  auto& core = node::inner_core();
  auto& question = core.open_question(node::Question::Kind::ask, timeout);
  const detail::Question id{question.id()};
  question.target = address;
  question.asking.request = request;
  question.timeout = timeout;
  if (!address) question.target.process = core.self();
  node::with_handles(core, question.target.process, payload, [&] { return core.ask(question, message::Kind::request, payload), true; });
  return id;
}

Asked<Address> Actor::look_up(const std::string& name, Duration timeout) {
  auto& core = node::inner_core();
  auto& question = core.open_question(node::Question::Kind::name, timeout);
  const detail::Question id{question.id()};
  question.asking.name = name;
  question.timeout = timeout;
  core.look_up(question, name);
  return Asked<Address>(id);
}

void Actor::register_name(const std::string& name) { node::inner_core().tree().register_name(name, self()); }

Actor::Timer Actor::after(Duration delay, Function<void()> then) {
  auto& core = node::inner_core();
  auto& question = core.open_question(node::Question::Kind::timer, kForever);
  question.then = [then = std::move(then)](const detail::Outcome&) mutable { then(); };
  core.start_timer(question, delay, false);
  return Timer({question.id()});
}

Actor::Timer Actor::every(Duration period, Function<void()> then) {
  TROUPE_CHECK(period > Duration{}, "a period of nothing would never let others run");
  auto& core = node::inner_core();
  auto& question = core.open_question(node::Question::Kind::timer, kForever);
  question.then = [then = std::move(then)](const detail::Outcome&) mutable { then(); };
  core.start_timer(question, period, true);
  return Timer({question.id()});
}

Monitor Actor::monitor(const Address& address, Function<void(const Death&)> then) {
  auto& core = node::inner_core();
  auto& question = core.open_question(node::Question::Kind::monitor, kForever);
  const detail::Question id{question.id()};
  question.target = address;
  if (!address) question.target.process = core.self();
  question.then = [then = std::move(then)](const detail::Outcome& outcome) mutable {
    if (auto* down = dynamic_cast<const ActorDown*>(outcome.error)) then(down->death());
  };
  core.ask(question, message::Kind::monitor, message::kNothing);
  return Monitor(id);
}

void Actor::stop() { cell_.stop_wanted = true; }

void ActorCatalog::add(Entry entry) {
  const std::string name = entry.name;
  if (!entries_.emplace(name, std::move(entry)).second) throw ConfigError("there are two actors named \"" + name + "\"");
}

const ActorCatalog::Entry* ActorCatalog::find(const std::string& name) const {
  const auto found = entries_.find(name);
  return found == entries_.end() ? nullptr : &found->second;
}

std::vector<std::string> ActorCatalog::names() const {
  std::vector<std::string> names;
  for (const auto& [name, entry] : entries_) names.push_back(name);
  return names;
}

}  // namespace troupe
