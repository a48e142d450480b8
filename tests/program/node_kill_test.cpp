// Actors in real processes, killed with SIGKILL while messages are under way: those that arrive are whole and in order, and nobody
// waits for the dead.

#include <troupe/actor_process.h>
#include <troupe/process.h>

#include <signal.h>

#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "program/test_supervisor.capnp.h"
#include "support/catch.h"
#include "support/leftovers.h"

using namespace troupe;
using namespace std::chrono_literals;
using test::Item;
using test::Ping;
using test::Pong;

namespace {

constexpr int kRounds = 20;

std::string filling(std::uint64_t number) { return std::string(number % 300, static_cast<char>('a' + number % 26)); }

// Checks that items of each sender come without gaps, from the first on, each as it was sent.
class Collector : public Actor {
 public:
  explicit Collector(Context& context) : Actor(context) {
    on<Item>([this](Item::Reader item) {
      if (item.getNumber() != next_) throw std::runtime_error("item " + std::to_string(item.getNumber()) + " instead of " + std::to_string(next_));
      if (item.getText() != filling(next_)) throw std::runtime_error("item " + std::to_string(next_) + " is damaged");
      ++next_;
      tell();
    });
    on<Ping, Pong>([this](Ping::Reader ping, Responder<Pong> reply) {
      wanted_ = ping.getWanted();
      waiting_ = std::move(reply);
      tell();
    });
  }

 private:
  void tell() {
    if (!waiting_ || next_ < wanted_) return;
    waiting_.reply([this](Pong::Builder pong) { pong.setValue(static_cast<std::int64_t>(next_)); });
  }
  std::uint64_t next_ = 0, wanted_ = 0;
  Responder<Pong> waiting_;
};

// Never stops sending by itself.
class Flooder : public Actor {
 public:
  Flooder(Context& context, Address to) : Actor(context), to_(to) { go_on(); }

 private:
  void go_on() {
    for (int i = 0; i < 50; ++i, ++number_)
      to_.send<Item>([&](Item::Builder item) {
        item.setNumber(number_);
        item.setText(filling(number_).c_str());
      });
    after(Duration::zero(), [this] { go_on(); });
  }
  Address to_;
  std::uint64_t number_ = 0;
};

class Silent : public Actor {
 public:
  explicit Silent(Context& context) : Actor(context) {
    on<Ping, Pong>([this](Ping::Reader, Responder<Pong> reply) { all_.push_back(std::move(reply)); });
  }

 private:
  std::vector<Responder<Pong>> all_;
};

const Death kKilled{Death::Cause::signalled, SIGKILL};

std::uint64_t wait_for(const Address& collector, std::uint64_t items) {
  return static_cast<std::uint64_t>(ask<Ping, Pong>(collector, [&](Ping::Builder ping) { ping.setWanted(items); }).get(60s)->getValue());
}

// From now on this process has a node, and what it takes to wait for answers: no leftovers.
void warm_up() {
  auto process = start_process<Collector>({});
  wait_for(process.address(), 0);
  process.kill();
  process.join();
}

}  // namespace

TEST_CASE("a sender that is killed leaves whole messages, in order, without gaps") {
  warm_up();
  const test::Leftovers leftovers;
  const auto seed = std::random_device()();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  for (int i = 0; i < kRounds; ++i) {
    auto collector = start_process<Collector>({});
    auto sender = start_process<Flooder>({}, collector.address());
    wait_for(collector.address(), random() % 5000);
    sender.kill();
    sender.join();
    CHECK(sender.death() == kKilled);
    REQUIRE_NOTHROW(wait_for(collector.address(), 0));  // it lives, so it has found no fault
    collector.terminate();
    collector.join();
    CHECK(collector.exitcode() == 0);
  }
}

TEST_CASE("a receiver that is killed in a flood holds nobody up, and the next one gets on with the same sender") {
  warm_up();
  const test::Leftovers leftovers;
  std::mt19937 random(std::random_device{}());
  auto bystander = start_process<Collector>({});
  for (int i = 0; i < kRounds; ++i) {
    auto receiver = start_process<Collector>({});
    auto sender = start_process<Flooder>({}, receiver.address());
    wait_for(receiver.address(), random() % 5000);
    receiver.kill();
    receiver.join();
    CHECK_THROWS_AS(wait_for(receiver.address(), 0), ActorDown);
    CHECK(sender.is_alive());
    CHECK(wait_for(bystander.address(), 0) == 0);
    sender.terminate();  // it still hears
    sender.join();
    CHECK(sender.death()->cause == Death::Cause::stopped);
    CHECK(sender.exitcode() == 0);
  }
  bystander.terminate();
  bystander.join();
}

TEST_CASE("all who have asked a process that is killed hear of it, with the cause") {
  warm_up();
  const test::Leftovers leftovers;
  auto silent = start_process<Silent>({});
  std::vector<Answer<Pong>> answers;
  for (int i = 0; i < 500; ++i) answers.push_back(ask<Ping, Pong>(silent.address()));
  silent.kill();
  for (auto& answer : answers) {
    try {
      answer.get(60s);
      FAIL("the dead do not answer");
    } catch (const ActorDown& down) {
      CHECK(down.death() == kKilled);
    }
  }
  silent.join();
}
