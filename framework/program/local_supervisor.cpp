#include "program/local_supervisor.h"

#include <capnp/message.h>
#include <capnp/serialize.h>

#include <fmt/format.h>

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <random>

#include <troupe/errors.h>

#include "node/node.h"
#include "process/client.h"
#include "program/host.h"
#include "supervisor/messages.h"

namespace troupe::program {

namespace {

namespace wire = supervisor::wire;

// Our own root handed it over as this program had written it.
template <class Message, class Use>
auto read_arguments(std::span<const std::byte> arguments, const Use& use) {
  std::vector<capnp::word> words(arguments.size() / sizeof(capnp::word));
  std::memcpy(static_cast<void*>(words.data()), arguments.data(), words.size() * sizeof(capnp::word));
  capnp::FlatArrayMessageReader message(kj::arrayPtr(words.data(), words.size()), {.traversalLimitInWords = ~std::uint64_t{0}, .nestingLimit = 256});
  return use(message.getRoot<Message>());
}

std::vector<std::byte> bytes_of(capnp::Data::Reader data) {
  const auto* begin = reinterpret_cast<const std::byte*>(data.begin());
  return {begin, begin + data.size()};
}

}  // namespace

void ActorForm::write(wire::Child::Builder to, const supervisor::ChildSpec& from) const {
  const auto& work = dynamic_cast<const ActorWork&>(*from.work);
  auto actor = to.initActor();
  actor.setMake(reinterpret_cast<std::uint64_t>(work.make));
  actor.setArguments({reinterpret_cast<const capnp::byte*>(work.arguments.data()), work.arguments.size()});
}

std::shared_ptr<const supervisor::Work> ActorForm::read(wire::Child::Reader from) const {
  if (!from.isActor()) throw ProtocolError("only actors live in one process");
  return std::make_shared<ActorWork>(reinterpret_cast<ActorWork::Make>(from.getActor().getMake()), bytes_of(from.getActor().getArguments()));
}

LocalSupervisor::LocalSupervisor(Context& context, const supervisor::SupervisorSpec& spec) : Actor(context), tree_(spec, std::random_device()()) {
  node::keep_by(self());
  on<wire::Order, wire::LocalAnswer>([this](wire::Order::Reader order, Responder<wire::LocalAnswer> asker) { obey(order, std::move(asker)); });
  carry_out(tree_.begin(Clock::now()));
}

void LocalSupervisor::on_stop() { carry_out(tree_.stop(Clock::now())); }

// What an action causes at once (an actor that could not be made) waits until the actions before it are done.
void LocalSupervisor::carry_out(supervisor::Tree::Commands commands) {
  for (auto& command : commands) commands_.push_back(std::move(command));
  if (std::exchange(acting_, true)) return;
  while (!commands_.empty()) {
    auto command = std::move(commands_.front());
    commands_.pop_front();
    std::visit([this](auto& c) { act(c); }, command);
  }
  acting_ = false;
  withdraw_names();
  say_notes();
  arm_timer();
}

void LocalSupervisor::withdraw_names() {
  for (const std::string& name : std::exchange(names_gone_, {})) {
    if (std::ranges::none_of(workers_, [&](const auto& worker) { return worker.second.name == name; })) node::register_name(name, Address());
  }
}

void LocalSupervisor::say_notes() {
  for (const auto& note : std::exchange(notes_, {})) {
    const std::string text = supervisor::describe(note.path, note.note, 0);
    if (!text.empty()) fmt::print(stderr, "troupe: {}: {}\n", process::Client::here()->name(), text);
  }
}

void LocalSupervisor::act(const supervisor::tree_command::Start& start) {
  const auto& work = dynamic_cast<const ActorWork&>(*start.spec.work);
  Worker worker{{}, start.spec.id};
  try {
    worker.address = node::spawn_here([&](Context& context) { return work.make(context, work.arguments); }, start.restarts);
  } catch (const std::exception& error) {
    Death death{Death::Cause::failed_to_start, 0, error.what()};
    death.time = std::chrono::system_clock::now();
    death.restarts = start.restarts;
    return carry_out(tree_.ended(start.worker, death, Clock::now()));
  }
  node::register_name(worker.name, worker.address);
  workers_[start.worker] = worker;
  monitor(worker.address, [this, id = start.worker](const Death& death) { died(id, death); });
  carry_out(tree_.ready(start.worker, Clock::now()));
}

void LocalSupervisor::died(supervisor::WorkerId id, const Death& death) {
  const auto worker = workers_.find(id);
  names_gone_.push_back(std::move(worker->second.name));
  workers_.erase(worker);
  carry_out(tree_.ended(id, death, Clock::now()));
}

void LocalSupervisor::act(const supervisor::tree_command::Stop& stop) {
  if (const auto worker = workers_.find(stop.worker); worker != workers_.end()) node::stop_actor(worker->second.address, stop.why);
}

void LocalSupervisor::act(const supervisor::tree_command::Kill& kill) {
  if (const auto worker = workers_.find(kill.worker); worker != workers_.end()) node::end_actor(worker->second.address, kill.why);
}

void LocalSupervisor::act(const supervisor::tree_command::Ended& ended) {
  const Death death = ended.outcome.as_death();
  node::end_actor(self(), death.normal() ? std::nullopt : std::optional(death));
  // Not before this handler has returned, and then it is the last of this process that matters.
  node::stop_all_here();
}

void LocalSupervisor::obey(wire::Order::Reader order, Responder<wire::LocalAnswer> asker) {
  namespace event = supervisor::event;
  const std::string path = order.getPath().cStr();
  if (order.isWhichChildren()) return which_children(path, asker);
  const auto request = ++requests_;
  askers_.emplace(request, std::move(asker));
  const auto cut = path.rfind('/');
  const std::string above = cut == std::string::npos ? "" : path.substr(0, cut), id = path.substr(cut + 1);
  const auto now = Clock::now();
  switch (order.which()) {
    case wire::Order::START_CHILD: {
      const auto child = read(order.getStartChild(), ActorForm());
      return carry_out(tree_.ask(path, event::StartChild{request, child}, request, now));
    }
    case wire::Order::TERMINATE_CHILD: return carry_out(tree_.ask(above, event::TerminateChild{request, id}, request, now));
    case wire::Order::RESTART_CHILD: return carry_out(tree_.ask(above, event::RestartChild{request, id}, request, now));
    case wire::Order::DELETE_CHILD: return carry_out(tree_.ask(above, event::DeleteChild{request, id}, request, now));
    default: askers_.erase(request);  // which tells the asker
  }
}

void LocalSupervisor::which_children(const std::string& under, Responder<wire::LocalAnswer>& asker) const {
  std::vector<supervisor::Tree::View> views;
  tree_.visit([&](const supervisor::Tree::View& view) {
    if (under.empty() || view.path.starts_with(under + "/")) views.push_back(view);
  });
  asker.reply([&](wire::LocalAnswer::Builder answer) {
    auto children = answer.initChildren(static_cast<unsigned>(views.size()));
    for (unsigned i = 0; i < children.size(); ++i) {
      write(children[i], views[i]);
      if (workers_.contains(views[i].worker)) children[i].setPid(::getpid());
    }
  });
}

void LocalSupervisor::act(const supervisor::tree_command::Answer& answer) {
  const auto found = askers_.find(answer.request);
  if (found == askers_.end()) return;
  found->second.reply([&](wire::LocalAnswer::Builder told) {
    told.setResult(static_cast<std::uint8_t>(answer.result));
    write(told.initDeath(), answer.death);
  });
  askers_.erase(found);
}

void LocalSupervisor::arm_timer() {
  const auto deadline = tree_.deadline();
  if (deadline == timer_at_) return;
  timer_.cancel();
  timer_at_ = deadline;
  if (!deadline) return;
  timer_ = after(std::max<Duration>(*deadline - Clock::now(), Duration::zero()), [this] {
    timer_at_.reset();
    carry_out(tree_.tick(Clock::now()));
  });
}

int host_child(std::span<const std::byte> arguments) {
  return read_arguments<wire::Child>(arguments, [](wire::Child::Reader child) {
    const auto make = reinterpret_cast<ActorWork::Make>(child.getActor().getMake());
    const auto bytes = bytes_of(child.getActor().getArguments());
    return host_actor([&](Context& context) { return make(context, bytes); }, {.name = child.getId().cStr(), .print_failure = false});
  });
}

int host_supervisor(std::span<const std::byte> arguments) {
  const auto spec = read_arguments<wire::Supervisor>(arguments, [](wire::Supervisor::Reader given) { return read(given, ActorForm()); });
  return host_actor([&](Context& context) { return std::make_unique<LocalSupervisor>(context, spec); }, {.print_failure = false});
}

}  // namespace troupe::program
