// Killed between any two system calls while a handle passes from one process to another: the others go on with what arrived, and what
// did not is gone.

#include <chrono>
#include <csignal>
#include <functional>
#include <optional>
#include <vector>

#include <troupe/troupe.h>

#include "handles/shop.capnp.h"
#include "handles_support.h"
#include "support/catch.h"
#include "support/leftovers.h"
#include "support/stepper.h"
#include "support/traced.h"

using namespace std::chrono_literals;
using namespace troupe;
using namespace handles_test;

namespace {

// For the victim: from here on it is looked at.
void stand_by(Event& traced) {
  test::be_traceable();
  traced.wait();
  test::mark();
}

// Starts victims, one after the other, and kills each one system call later than the one before. `victim` is a process that stands by
// for its event; `check` looks at what is left of it. How many were killed.
std::size_t kill_at_every_call(const std::function<Process(Event)>& make_victim, const std::function<void()>& check) {
  for (std::size_t calls = 0;; ++calls) {
    Event traced;
    Process victim = make_victim(traced);
    victim.start();
    INFO("killed at stop " << calls);
    bool more = true;
    {
      test::Traced process(*victim.pid());
      traced.set();
      REQUIRE(process.to_mark());
      more = process.steps(calls) == calls;
    }
    victim.join();
    REQUIRE(victim.exitcode() == -SIGKILL);
    check();
    if (!more) return calls;
  }
}

bool can_sweep() {
  if (!test::kStepperWorks) return false;
  Event ready;
  Process sleeper([](Event told) { test::be_traceable(), told.set(), Event().wait(); }, ready);
  sleeper.start();
  ready.wait();
  const bool can = test::may_trace(*sleeper.pid());
  sleeper.kill();
  sleeper.join();
  if (!can) WARN("this machine does not let processes trace others: nothing is killed here");
  return can;
}

using Inner = Queue<int>;

// Puts a queue, in which there is a 7: root's number of it.
template <class Outer>
std::uint64_t put_inner(Outer& outer) {
  Inner inner;
  inner.put(7);
  outer.put(inner);
  return number_of(inner);
}

}  // namespace

TEMPLATE_TEST_CASE("killed while it puts a handle, a producer leaves it whole or not at all", "", Queue<Inner>, LifoQueue<Inner>) {
  const troupe::test::Leftovers leftovers;
  if (!can_sweep()) return;
  TestType outer;
  Queue<std::uint64_t> told;
  std::size_t arrived = 0;
  const auto victim = [&](Event traced) {
    return Process(
        [](TestType to, Queue<std::uint64_t> numbers, Event go) {
          Inner inner;
          inner.put(7);
          numbers.put(number_of(inner));
          stand_by(go);
          to.put(inner);
          test::mark();
        },
        outer, told, traced);
  };
  const auto kills = kill_at_every_call(victim, [&] {
    if (auto inner = outer.try_get()) {
      ++arrived;
      CHECK(inner->get_nowait() == 7);
    }
    CHECK(outer.empty());
    check_gone(told.get());
  });
  CHECK(kills >= 4);
  CHECK((arrived >= 1 && arrived < kills));
}

TEMPLATE_TEST_CASE("killed while it gets a handle, a consumer leaves it to others, or has it", "", Queue<Inner>, LifoQueue<Inner>) {
  const troupe::test::Leftovers leftovers;
  if (!can_sweep()) return;
  TestType outer;
  std::uint64_t number = 0;
  std::size_t left = 0;
  const auto victim = [&](Event traced) {
    number = put_inner(outer);
    return Process(
        [](TestType from, Event go) {
          stand_by(go);
          const Inner inner = from.get();
          test::mark();
        },
        outer, traced);
  };
  const auto kills = kill_at_every_call(victim, [&] {
    if (auto inner = outer.try_get()) {
      ++left;
      CHECK(inner->get_nowait() == 7);
    }
    CHECK(outer.empty());
    CHECK(outer.counts().leased == 0);
    check_gone(number);
  });
  CHECK(kills >= 6);
  CHECK((left >= 2 && left < kills));
}

TEST_CASE("killed while it acknowledges an item or gives it back, a worker leaves it with its handles, or gone with them") {
  const troupe::test::Leftovers leftovers;
  if (!can_sweep()) return;
  for (const bool acknowledge : {true, false}) {
    Queue<Inner> outer;
    std::uint64_t number = 0;
    std::size_t left = 0;
    const auto victim = [&](Event traced) {
      number = put_inner(outer);
      return Process(
          [](Queue<Inner> from, Event go, bool done) {
            auto item = from.lease();
            stand_by(go);
            static_cast<void>(done ? item.acknowledge() : item.give_back());
            test::mark();
          },
          outer, traced, acknowledge);
    };
    const auto kills = kill_at_every_call(victim, [&] {
      if (auto item = outer.try_lease()) {
        ++left;
        CHECK(item->deliveries() == 2);
        CHECK((*item)->get_nowait() == 7);
      }
      CHECK(outer.empty());
      check_gone(number);
    });
    CHECK((acknowledge ? left >= 1 && left <= kills : left == kills + 1));
  }
}

TEST_CASE("killed while it starts a process with a handle, a starter leaves nothing of it") {
  const troupe::test::Leftovers leftovers;
  if (!can_sweep()) return;
  Queue<std::uint64_t> told;
  const auto victim = [&](Event traced) {
    return Process(
        [](Queue<std::uint64_t> numbers, Event go) {
          Inner inner;
          numbers.put(number_of(inner));
          stand_by(go);
          Process child([](Inner from) { from.get(); }, inner);
          child.start();
          test::mark();
        },
        told, traced);
  };
  CHECK(kill_at_every_call(victim, [&] { check_gone(told.get()); }) >= 4);
}

TEST_CASE("killed while it sends a handle over a pipe or receives one there, a process leaves it whole, or it goes with the pipe") {
  const troupe::test::Leftovers leftovers;
  if (!can_sweep()) return;
  for (const bool sends : {true, false}) {
    Queue<std::uint64_t> told;
    std::optional<Connection> ours;
    std::size_t received = 0;
    const auto victim = [&](Event traced) {
      auto [here, there] = Pipe();
      ours = here;
      if (!sends) {
        const Inner inner;
        told.put(number_of(inner));
        here.send(inner);
      }
      return Process(
          [](Connection pipe, Queue<std::uint64_t> numbers, Event go, bool send) {
            std::optional<Inner> inner;
            if (send) numbers.put(number_of(inner.emplace()));
            stand_by(go);
            if (send) pipe.send(*inner);
            else inner = pipe.recv<Inner>();
            test::mark();
          },
          there, told, traced, sends);
    };
    const auto kills = kill_at_every_call(victim, [&] {
      if (sends && ours->poll()) {
        try {
          received += ours->recv<Inner>().empty() ? 1 : 0;
        } catch (const EndOfFile&) {
        }
      }
      ours.reset();
      check_gone(told.get());
    });
    CHECK(kills >= 2);
    if (sends) CHECK((received >= 1 && received < kills));
  }
}

namespace {

class Shop final : public Actor {
 public:
  explicit Shop(Context& context) : Actor(context) {
    on<shop::Order>([](shop::Order::Reader order) {
      auto [basket] = read_values<Inner>(order.getBasket());
      for (unsigned i = 0; i < order.getCount(); ++i) basket.put(static_cast<int>(i));
    });
    on<shop::Ask, shop::Goods>([](shop::Ask::Reader, shop::Goods::Builder) {});
  }
};

}  // namespace

TEST_CASE("killed while it sends a handle in a message, a process leaves it to the actor, or it goes when the actor's process has ended") {
  try {
    static_cast<void>(look_up("nobody", 30s));  // this process's own node stays, with its descriptors
  } catch (const ActorDown&) {
  }
  const troupe::test::Leftovers leftovers;
  if (!can_sweep()) return;
  Queue<std::uint64_t> told;
  std::vector<std::uint64_t> numbers;
  Supervisor supervisor("", {.children = {Child::actor<Shop>("shop")}});
  supervisor.start();
  const Address there = look_up("shop", 30s);
  const auto victim = [&](Event traced) {
    return Process(
        [](Queue<std::uint64_t> to, Event go) {
          const Address shop = look_up("shop", 30s);
          const Inner basket;
          to.put(number_of(basket));
          stand_by(go);
          shop.send<shop::Order>([&](shop::Order::Builder order) {
            order.setCount(1);
            write_values(order.initBasket(), basket);
          });
          test::mark();
        },
        told, traced);
  };
  const auto kills = kill_at_every_call(victim, [&] {
    numbers.push_back(told.get());
    CHECK_NOTHROW(ask<shop::Ask, shop::Goods>(there).get(30s));
  });
  CHECK(kills >= 2);
  supervisor.stop();
  for (const std::uint64_t number : numbers) check_gone(number);
}
