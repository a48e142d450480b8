#pragma once

#include <troupe/actor.h>

#include <chrono>
#include <functional>
#include <future>
#include <memory>

#include "node/forest.h"
#include "node/node.h"
#include "support/catch.h"

namespace troupe::test {

inline constexpr auto kSoon = std::chrono::seconds(20);  // a test that waits longer has failed

// Two processes in one, and this thread, which belongs to the first.
struct Pair {
  explicit Pair(const node::NodeOptions& node_options = {}) : options(node_options) {
    here.start();
    there.start();
  }
  ~Pair() {
    here.end();
    there.end();
  }
  template <class A, class... Args>
  Address spawn_there(Args... args) {
    return there.spawn([&](Context& context) { return std::make_unique<A>(context, args...); });
  }
  template <class A, class... Args>
  Address spawn_here(Args... args) {
    return here.spawn([&](Context& context) { return std::make_unique<A>(context, args...); });
  }

  node::NodeOptions options;
  Forest forest;
  node::Node here{forest.tree(1), options};
  node::Node there{forest.tree(2), options};
  node::Node::Scope scope{here};
};

// Runs a function as an actor, and says what came of it.
template <class Result>
class Probe : public Actor {
 public:
  using Body = std::function<void(Probe&)>;
  Probe(Context& context, Body body, std::shared_ptr<std::promise<Result>> promise) : Actor(context), promise_(std::move(promise)) {
    body(*this);
  }
  void say(Result result) {
    promise_->set_value(std::move(result));
    stop();
  }
  using Actor::after;
  using Actor::ask;
  using Actor::every;
  using Actor::look_up;
  using Actor::monitor;
  using Actor::on;
  using Actor::register_name;
  using Actor::self;
  using Actor::sender;
  using Actor::spawn;
  using Actor::stop;

 private:
  std::shared_ptr<std::promise<Result>> promise_;
};

template <class Result>
Result probe(Pair& pair, typename Probe<Result>::Body body) {
  auto promise = std::make_shared<std::promise<Result>>();
  auto future = promise->get_future();
  pair.spawn_here<Probe<Result>>(body, promise);
  REQUIRE(future.wait_for(kSoon) == std::future_status::ready);
  return future.get();
}

}  // namespace troupe::test
