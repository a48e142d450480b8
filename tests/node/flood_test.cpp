#include <troupe/actor.h>

#include <chrono>
#include <future>
#include <thread>
#include <vector>

#include "node/pair.h"
#include "node/test_actors.capnp.h"
#include "support/catch.h"

using namespace troupe;
using namespace troupe::test;
using namespace std::chrono_literals;

namespace {

// Counts, and checks that numbers come in order.
class Sink : public Actor {
 public:
  explicit Sink(Context& context) : Actor(context) {
    on<Flat64>([this](Flat64::Reader flat) { ordered_ = ordered_ && flat.getA() == count_++; });
    on<Note>([this](Note::Reader note) { ordered_ = ordered_ && note.getNumber() == static_cast<std::uint64_t>(count_++); });
    on<Get, Total>([this](Get::Reader, Total::Builder total) { total.setValue(ordered_ ? count_ : -1); });
  }

 private:
  std::int64_t count_ = 0;
  bool ordered_ = true;
};

// Sends `count` numbers in portions, then reports.
class Source : public Actor {
 public:
  Source(Context& context, Address to, std::int64_t count, bool flat, std::shared_ptr<std::promise<std::int64_t>> done)
      : Actor(context), to_(to), count_(count), flat_(flat), done_(std::move(done)) {
    on<Get>([this](Get::Reader) { more(); });
    more();
  }

 private:
  void more() {
    for (int i = 0; i < 700 && next_ < count_; ++i, ++next_) {
      if (flat_) {
        to_.send<Flat64>([this](Flat64::Builder flat) { flat.setA(next_); });
      } else {
        to_.send<Note>([this](Note::Builder note) {
          note.setNumber(static_cast<std::uint64_t>(next_));
          note.setText("a text");
        });
      }
    }
    if (next_ < count_) return self().send<Get>();
    ask<Get, Total>(to_).then([this](Total::Reader total) {
      done_->set_value(total.getValue());
      stop();
    });
  }

  Address to_;
  std::int64_t count_;
  std::int64_t next_ = 0;
  bool flat_;
  std::shared_ptr<std::promise<std::int64_t>> done_;
};

std::future<std::int64_t> pour(node::Node& from, const Address& to, std::int64_t count, bool flat) {
  auto done = std::make_shared<std::promise<std::int64_t>>();
  from.spawn([&](Context& context) { return std::make_unique<Source>(context, to, count, flat, done); });
  return done->get_future();
}

std::int64_t result(std::future<std::int64_t>& future) {
  REQUIRE(future.wait_for(kSoon) == std::future_status::ready);
  return future.get();
}

// For each ball it hits two, until they have no strength left: floods whom it plays with.
class Player : public Actor {
 public:
  explicit Player(Context& context) : Actor(context) {
    on<Ball>([this](Ball::Reader ball) {
      ++balls_;
      if (ball.getLeft() == 0) return;
      for (int i = 0; i < 2; ++i) {
        Address(ball.getTo()).send<Ball>([&](Ball::Builder back) {
          self().write(back.initTo());
          back.setLeft(ball.getLeft() - 1);
        });
      }
    });
    on<Get, Total>([this](Get::Reader, Total::Builder total) { total.setValue(balls_); });
  }

 private:
  std::int64_t balls_ = 0;
};

std::int64_t total_of(const Address& actor) { return ask<Get, Total>(actor).get(kSoon)->getValue(); }

}  // namespace

TEST_CASE("more messages than a link holds arrive in order") {
  Pair pair;
  const bool flat = GENERATE(true, false);
  auto far = pour(pair.here, pair.spawn_there<Sink>(), 100'000, flat);
  CHECK(result(far) == 100'000);
  auto near = pour(pair.here, pair.spawn_here<Sink>(), 100'000, flat);
  CHECK(result(near) == 100'000);
}

TEST_CASE("several senders share a link") {
  Pair pair;
  std::vector<std::future<std::int64_t>> all;
  for (int i = 0; i < 5; ++i) all.push_back(pour(pair.here, pair.spawn_there<Sink>(), 20'000, true));
  for (auto& one : all) CHECK(result(one) == 20'000);
}

TEST_CASE("a thousand receivers") {
  Pair pair;
  std::vector<Address> sinks;
  for (int i = 0; i < 1000; ++i) sinks.push_back(pair.spawn_there<Sink>());
  for (int round = 0; round < 20; ++round) {
    for (const Address& sink : sinks) sink.send<Flat64>([round](Flat64::Builder flat) { flat.setA(round); });
  }
  for (const Address& sink : sinks) CHECK(total_of(sink) == 20);
}

TEST_CASE("two actors that flood each other come to an end") {
  node::NodeOptions options;
  options.mailbox_max = 64;
  options.link.ring_bytes = 8192;
  Pair pair(options);
  const Address here = pair.spawn_here<Player>();
  const Address there = GENERATE(true, false) ? pair.spawn_there<Player>() : pair.spawn_here<Player>();
  constexpr std::uint64_t kStrength = 15;
  here.send<Ball>([&](Ball::Builder ball) {
    there.write(ball.initTo());
    ball.setLeft(kStrength);
  });
  std::int64_t balls = 0;
  while (balls != (1 << (kStrength + 1)) - 1) {
    balls = total_of(here) + total_of(there);
    std::this_thread::yield();
  }
}

TEST_CASE("a full mailbox holds back its sender, and nobody else") {
  // The slow one waits for a process that takes nothing, so that its mailbox fills up.
  node::NodeOptions options;
  options.mailbox_max = 64;
  options.link.ring_bytes = 8192;
  Pair pair(options);
  auto& silent = pair.forest.tree(3);  // nobody pumps it
  class Forwarder : public Actor {
   public:
    Forwarder(Context& context, Address to) : Actor(context) {
      on<Flat64>([to](Flat64::Reader flat) { to.send<Flat64>([&](Flat64::Builder copy) { copy.setA(flat.getA()); }); });
    }
  };
  const Address slow = pair.spawn_there<Forwarder>(Address(3, 0, 1));
  const Address fast = pair.spawn_there<Sink>();
  auto stuck = pour(pair.here, slow, 1'000'000, true);
  auto quick = pour(pair.here, fast, 50'000, true);
  CHECK(result(quick) == 50'000);
  CHECK(stuck.wait_for(0ms) == std::future_status::timeout);

  bool told = false;
  const node::Node::Scope scope(pair.here);
  while (!told) told = !probe<bool>(pair, [slow](auto& actor) { actor.say(slow.try_send<Flat64>([](Flat64::Builder) {})); });

  static_cast<void>(silent);
  pair.forest.kill(3, {Death::Cause::signalled, 9, ""});  // what went there is lost, and the forwarder goes on
  CHECK_THROWS_AS(result(stuck), std::future_error);      // it has no answer to give: it knows no Get
}

TEST_CASE("a thread that is no actor waits for a slow receiver") {
  Pair pair;
  const Address sink = pair.spawn_there<Sink>();
  for (int i = 0; i < 200'000; ++i) sink.send<Flat64>([i](Flat64::Builder flat) { flat.setA(i); });
  CHECK(total_of(sink) == 200'000);
}
