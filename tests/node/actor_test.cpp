#include <sys/resource.h>
#include <troupe/actor.h>
#include <troupe/errors.h>

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

class Counter : public Actor {
 public:
  explicit Counter(Context& context, std::int64_t start = 0) : Actor(context), total_(start) {
    on<Add>([this](Add::Reader add) { total_ += add.getAmount(); });
    on<Get, Total>([this](Get::Reader, Total::Builder total) { total.setValue(total_); });
    on<Slow, Total>([this](Slow::Reader, Responder<Total> reply) { later_.push_back(std::move(reply)); });
    on<Drop>([this](Drop::Reader) { later_.clear(); });
    on<Fail>([](Fail::Reader fail) { throw std::runtime_error(fail.getWhy().cStr()); });
  }

 private:
  std::int64_t total_;
  std::vector<Responder<Total>> later_;
};

std::int64_t total_of(const Address& counter) { return ask<Get, Total>(counter).get(kSoon)->getValue(); }

Death death_of(const Address& actor) {
  try {
    static_cast<void>(ask<Get, Total>(actor).get(kSoon));
  } catch (const ActorDown& down) {
    return down.death();
  }
  return {};
}

}  // namespace

TEST_CASE("an actor answers from here and from another process") {
  Pair pair;
  const Address near = pair.spawn_here<Counter>();
  const Address far = pair.spawn_there<Counter>(10);
  for (const Address& counter : {near, far}) {
    for (int i = 0; i < 100; ++i) counter.send<Add>([&](Add::Builder add) { add.setAmount(i); });
  }
  CHECK(total_of(near) == 4950);
  CHECK(total_of(far) == 4960);
}

TEST_CASE("an actor asks another") {
  Pair pair;
  const Address far = pair.spawn_there<Counter>(42);
  const auto value = probe<std::int64_t>(pair, [far](auto& actor) {
    actor.template ask<Get, Total>(far).then([&actor](Total::Reader total) { actor.say(total.getValue()); });
  });
  CHECK(value == 42);
}

TEST_CASE("asking the dead fails at once, with the cause") {
  Pair pair;
  const Address far = pair.spawn_there<Counter>();
  far.send<Fail>([](Fail::Builder fail) { fail.setWhy("no such file"); });
  const Death death = death_of(far);
  CHECK(death.cause == Death::Cause::exception);
  CHECK(death.detail == "no such file");
  CHECK(death_of(Address()).cause == Death::Cause::unreachable);
  CHECK(death_of(Address(2, 77, 1)).cause == Death::Cause::unreachable);
  CHECK(death_of(Address(99, 0, 1)).cause == Death::Cause::unreachable);
  CHECK(pair.there.dead_letters() == 0);
  far.send<Add>();
  CHECK(death_of(far).cause == Death::Cause::exception);
  CHECK(pair.there.dead_letters() == 1);
}

TEST_CASE("who could not be reached at first can be later") {
  Pair pair;
  CHECK(death_of(Address(7, 0, 1)).cause == Death::Cause::unreachable);
  node::Node seventh(pair.forest.tree(7));
  seventh.start();
  const Address counter = seventh.spawn([](Context& context) { return std::make_unique<Counter>(context, 5); });
  CHECK(counter == Address(7, 0, 1));
  CHECK(total_of(counter) == 5);
  seventh.end();
}

#ifndef __SANITIZE_ADDRESS__  // UBSan needs free descriptors to look at the exception that says there are none
TEST_CASE("a process that may open no more descriptors goes on without new links") {
  Pair pair;
  const Address far = pair.spawn_there<Counter>(6);
  const Address mine = pair.spawn_here<Counter>(7);
  CHECK(total_of(mine) == 7);
  rlimit usual{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &usual) == 0);
  const rlimit none{0, usual.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
  const Death death = death_of(far);
  far.send<Add>();
  CHECK(total_of(mine) == 7);
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &usual) == 0);
  CHECK(death.cause == Death::Cause::unreachable);
  CHECK(death.detail.find("no link to it could be made") == 0);
  CHECK(pair.here.dead_letters() == 1);
  CHECK(total_of(far) == 6);
}
#endif

TEST_CASE("who gets no answer is told what was asked, of whom, and what became of it") {
  Pair pair;
  const Address far = pair.spawn_there<Counter>();
  const std::string from = " from actor " + to_string(far);
  CHECK_THROWS_WITH((ask<Slow, Total>(far).get(1ms)), "no answer to Slow" + from + " within 1ms");
  CHECK_THROWS_WITH((ask<Total, Total>(far).get(kSoon)), Catch::Matchers::StartsWith("no answer to Total" + from + ": "));
  CHECK_THROWS_WITH(look_up("nobody", kSoon), Catch::Matchers::StartsWith("actor `nobody` is down: not reachable"));
  const auto told = probe<std::string>(pair, [far](auto& actor) {
    actor.template ask<Slow, Total>(far, 2ms).then([](Total::Reader) {}, [&actor](const Error& error) {
      actor.say(std::string(error.what()) + (error.timed_out() && !error.death() ? "!" : "?"));
    });
  });
  CHECK(told == "no answer to Slow" + from + " within 2ms!");
  auto answer = ask<Slow, Total>(far);
  far.send<Fail>([](Fail::Builder fail) { fail.setWhy("tired"); });
  try {
    static_cast<void>(answer.get(kSoon));
    FAIL("answered");
  } catch (const Error& error) {
    CHECK(error.what() == "no answer to Slow" + from + ": threw an exception: tired");
    REQUIRE(error.death());
    CHECK(error.death()->detail == "tired");
    CHECK_FALSE(error.timed_out());
  }
}

TEST_CASE("a question under way fails when the actor asked ends") {
  Pair pair;
  const Address far = pair.spawn_there<Counter>();
  auto answer = ask<Slow, Total>(far);
  far.send<Fail>([](Fail::Builder fail) { fail.setWhy("tired"); });
  try {
    static_cast<void>(answer.get(kSoon));
    FAIL("answered");
  } catch (const ActorDown& down) {
    CHECK(down.death().detail == "tired");
  }
}

TEST_CASE("a dropped Responder is an answer") {
  Pair pair;
  const Address far = pair.spawn_there<Counter>();
  auto answer = ask<Slow, Total>(far);
  far.send<Drop>();
  CHECK_THROWS_AS(answer.get(kSoon), RequestFailed);
  CHECK_THROWS_AS((ask<Unknown, Total>(far).get(kSoon)), RequestFailed);
  CHECK_THROWS_AS((ask<Add, Total>(far).get(kSoon)), RequestFailed);
  CHECK(total_of(far) == 0);
}

TEST_CASE("a question times out") {
  Pair pair;
  const Address far = pair.spawn_there<Counter>();
  CHECK_THROWS_AS((ask<Slow, Total>(far).get(1ms)), TimeoutError);
  const auto late = probe<bool>(pair, [far](auto& actor) {
    actor.template ask<Slow, Total>(far, 1ms).then(
        [&actor](Total::Reader) { actor.say(false); },
        [&actor](const Error& error) { actor.say(dynamic_cast<const TimeoutError*>(&error) != nullptr); });
  });
  CHECK(late);
}

TEST_CASE("an answer that nobody cares to catch ends the actor") {
  Pair pair;
  const Address asker = pair.spawn_here<Probe<int>>([](auto& actor) {
    actor.template ask<Get, Total>(Address(2, 5, 1)).then([](Total::Reader) {});
  }, nullptr);
  const auto death = probe<Death>(pair, [asker](auto& actor) {
    actor.monitor(asker, [&actor](const Death& why) { actor.say(why); });
  });
  CHECK(death.cause == Death::Cause::exception);
}

TEST_CASE("whoever monitors an actor hears how it ended") {
  Pair pair;
  const Address far = pair.spawn_there<Counter>();
  const auto death = probe<Death>(pair, [far](auto& actor) {
    actor.monitor(far, [&actor](const Death& why) { actor.say(why); });
    far.send<Fail>([](Fail::Builder fail) { fail.setWhy("over"); });
  });
  CHECK(death.detail == "over");
  const auto again = probe<Death>(pair, [far](auto& actor) {
    actor.monitor(far, [&actor](const Death& late) { actor.say(late); });
  });
  CHECK(again == death);
}

TEST_CASE("timers come in order, again and again, until cancelled") {
  Pair pair;
  const auto order = probe<std::string>(pair, [](auto& actor) {
    auto text = std::make_shared<std::string>();
    auto ticks = std::make_shared<Subscription>();
    actor.after(3ms, [text] { *text += 'b'; });
    actor.after(1ms, [text] { *text += 'a'; });
    actor.after(2ms, [text] { *text += '-'; }).cancel();
    *ticks = actor.every(4ms, [&actor, text, ticks] {
      *text += 't';
      if (text->size() == 5) ticks->cancel();
      if (text->size() == 5) actor.after(10ms, [&actor, text] { actor.say(*text); });
    });
  });
  CHECK(order == "abttt");
}

TEST_CASE("an actor has a name in the tree") {
  Pair pair;
  const Address far = pair.spawn_there<Counter>(7);
  pair.forest.tree(2).register_name("seven", far);
  CHECK(look_up("seven", kSoon) == far);
  CHECK_THROWS_AS(look_up("eight", kSoon), ActorDown);
  const auto value = probe<std::int64_t>(pair, [](auto& actor) {
    actor.look_up("seven").then([&actor](const Address& seven) {
      actor.template ask<Get, Total>(seven).then([&actor](Total::Reader total) { actor.say(total.getValue()); });
    });
  });
  CHECK(value == 7);
}

TEST_CASE("when a process dies, what it sent before comes first") {
  Pair pair;
  const auto heard = probe<std::string>(pair, [&pair](auto& actor) {
    auto text = std::make_shared<std::string>();
    actor.template on<Add>([text](Add::Reader) { *text += '+'; });
    const Address me = actor.self();
    const Address far = pair.there.spawn([me](Context& context) {
      for (int i = 0; i < 5; ++i) me.send<Add>();
      return std::make_unique<Counter>(context);
    });
    pair.spawn_there<Counter>();  // when this is done, what the first sent lies in the link
    actor.monitor(far, [&actor, text](const Death& death) { actor.say(*text + death.describe()); });
    pair.forest.kill(2, {Death::Cause::signalled, 9, ""});
  });
  CHECK(heard == "+++++killed by SIGKILL");
  CHECK(death_of(Address(2, 0, 1)).cause == Death::Cause::signalled);
}

TEST_CASE("addresses travel in messages, and the sender is known") {
  Pair pair;
  const Address far = pair.spawn_there<Probe<int>>([](auto& actor) {
    actor.template on<Note>([&actor](Note::Reader note) {
      const Address to = note.getFrom();
      to.send<Note>([&](Note::Builder back) {
        back.setText(note.getText());
        actor.sender().write(back.initFrom());
      });
    });
  }, nullptr);
  const auto same = probe<bool>(pair, [far](auto& actor) {
    actor.template on<Note>([&actor, far](Note::Reader note) {
      actor.say(Address(note.getFrom()) == actor.self() && actor.sender() == far && note.getText() == "hello");
    });
    far.send<Note>([&](Note::Builder note) {
      note.setText("hello");
      actor.self().write(note.initFrom());
    });
  });
  CHECK(same);
}

TEST_CASE("messages larger than the link's memory arrive whole") {
  Pair pair;
  const std::size_t size = 5 << 20;
  const auto right = probe<bool>(pair, [&pair](auto& actor) {
    actor.template on<Note>([&actor](Note::Reader note) {
      const auto data = note.getData();
      bool same = data.size() == size;
      for (std::size_t i = 0; i < data.size(); i += 997) same = same && data[i] == static_cast<unsigned char>(i);
      actor.say(same);
    });
    const Address me = actor.self();
    pair.there.spawn([me](Context& context) {
      me.send<Note>([](Note::Builder note) {
        auto data = note.initData(size);
        for (std::size_t i = 0; i < size; ++i) data[i] = static_cast<unsigned char>(i);
      });
      return std::make_unique<Counter>(context);
    });
  });
  CHECK(right);
  CHECK_THROWS_AS(pair.spawn_there<Counter>().send<Note>([](Note::Builder note) { note.initData(100 << 20); }), std::length_error);
}

TEST_CASE("an actor that cannot be constructed is not there") {
  Pair pair;
  const auto make = [](Context&) -> std::unique_ptr<Actor> { throw std::runtime_error("not today"); };
  CHECK_THROWS_WITH(pair.there.spawn(make), "not today");
  CHECK(total_of(pair.spawn_there<Counter>(3)) == 3);
}

TEST_CASE("an ordered stop goes from the newest to the oldest, each in its time") {
  class Last : public Actor {
   public:
    Last(Context& context, std::string& text, char mark) : Actor(context), text_(text), mark_(mark) {}
    void on_stop() override {
      after(2ms, [this] {
        text_ += mark_;
        stop();
      });
    }
    std::string& text_;
    char mark_;
  };
  Forest forest;
  node::Node node(forest.tree(1));
  std::string text;
  for (const char mark : {'a', 'b', 'c'}) {
    node.spawn([&](Context& context) { return std::make_unique<Last>(context, text, mark); });
  }
  forest.stop(1);
  CHECK(node.run().cause == Death::Cause::stopped);
  CHECK(text == "cba");
}

TEST_CASE("a node ends with its last actor, and says how") {
  Forest forest;
  node::Node node(forest.tree(1));
  node.spawn([](Context& context) {
    auto counter = std::make_unique<Counter>(context);
    return counter;
  });
  const Address address(1, 0, 1);
  {
    const node::Node::Scope scope(node);
    address.send<Fail>([](Fail::Builder fail) { fail.setWhy("end"); });
  }
  CHECK(node.run().detail == "end");
}
