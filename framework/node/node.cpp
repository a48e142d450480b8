#include "node/node.h"

#include <thread>

#include "node/core.h"

namespace troupe::node {

struct Node::State {
  State(Tree& tree, const NodeOptions& options) : core(tree, options) {}
  Core core;
  std::thread thread;
};

Node::Node(Tree& tree, const NodeOptions& options) : state_(std::make_unique<State>(tree, options)) {}

Node::~Node() { end(); }

void Node::end() {
  if (state_->thread.joinable()) {
    core().outside().post([this] { core().abort(); });
    state_->thread.join();
  }
  core().end_actors();
}

Core& Node::core() const { return state_->core; }

Address Node::spawn(Function<std::unique_ptr<Actor>(Context&)> make, std::uint32_t restarts) {
  Address address;
  core().outside().call([&] { address = core().spawn(make, restarts); });
  return address;
}

Death Node::run() {
  core().loop(Core::Until::empty);
  return core().last_death().value_or(Death{Death::Cause::stopped, 0, ""});
}

void Node::start() {
  core().outside().open();
  state_->thread = std::thread([this] { core().loop(Core::Until::stopped); });
}

void Node::stop() {
  core().outside().post([this] { core().stop_all(); });
  if (state_->thread.joinable()) state_->thread.join();
}

std::uint64_t Node::dead_letters() const { return core().dead_letters(); }

}  // namespace troupe::node
