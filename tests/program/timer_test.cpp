#include <troupe/timer.h>

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <optional>
#include <stdexcept>
#include <vector>

#include "support/catch.h"

using namespace std::chrono_literals;
using troupe::Clock;
using troupe::Timer;

TEST_CASE("a timer calls its function once, not before it is due") {
  std::atomic<int> calls{0};
  const auto begin = Clock::now();
  Timer timer(
      5ms, [&](int by) { calls += by; }, 3);
  CHECK_FALSE(timer.is_alive());
  CHECK_THROWS_AS(timer.join(), std::logic_error);
  timer.start();
  CHECK_THROWS_AS(timer.start(), std::logic_error);
  timer.join();
  CHECK(Clock::now() - begin >= 5ms);
  CHECK(calls == 3);
  CHECK_FALSE(timer.is_alive());
  CHECK_THROWS_AS(timer.start(), std::logic_error);
  timer.cancel();  // too late, and no matter
}

TEST_CASE("a timer that is cancelled or goes away does not call") {
  std::atomic<int> calls{0};
  Timer before(0s, [&] { ++calls; });
  before.cancel();
  before.start();
  before.join();
  Timer after(1h, [&] { ++calls; });
  after.start();
  CHECK(after.is_alive());
  CHECK_FALSE(after.join(1ms));
  after.cancel();
  after.join();
  CHECK_FALSE(after.is_alive());
  {
    Timer gone(1h, [&] { ++calls; });
    gone.start();
    Timer assigned(1h, [&] { ++calls; });
    assigned.start();
    assigned = Timer(1h, [&] { ++calls; });
  }
  CHECK(calls == 0);
  CHECK_THROWS_AS(Timer(1s, std::function<void()>()), std::invalid_argument);
}

TEST_CASE("timers go off in the order in which they are due, however they were started") {
  std::vector<std::size_t> order;  // of one thread
  std::vector<Timer> timers;
  struct Due {
    Clock::time_point from, to;
  };
  std::vector<Due> due;
  for (const int ms : {40, 10, 30, 20}) {
    timers.emplace_back(std::chrono::milliseconds(ms), [&order, index = timers.size()] { order.push_back(index); });
    const auto before = Clock::now();
    timers.back().start();
    due.push_back({before + std::chrono::milliseconds(ms), Clock::now() + std::chrono::milliseconds(ms)});
  }
  for (auto& timer : timers) timer.join();
  REQUIRE(order.size() == due.size());
  for (std::size_t i = 1; i < order.size(); ++i) CHECK(due[order[i - 1]].from <= due[order[i]].to);
}

TEST_CASE("a timer that goes away waits for its function, and one that throws stops no other") {
  std::promise<void> begun, go_on;
  std::atomic<bool> done{false};
  std::optional<Timer> timer(std::in_place, 0s, [&] {
    begun.set_value();
    go_on.get_future().wait();
    done = true;
  });
  timer->start();
  begun.get_future().wait();
  timer->cancel();  // too late
  CHECK(timer->is_alive());
  go_on.set_value();
  timer.reset();
  CHECK(done);
  Timer throws(0s, [] { throw std::runtime_error("on purpose"); });
  throws.start();
  throws.join();
  Timer next(0s, [&] { done = false; });
  next.start();
  next.join();
  CHECK_FALSE(done);
}

TEST_CASE("a function may start another timer, drop its own, and not wait") {
  auto refused = std::make_shared<std::promise<bool>>();
  auto own = std::make_shared<std::optional<Timer>>();
  own->emplace(0s, [own, refused] {
    bool threw = false;
    try {
      (*own)->join();
    } catch (const std::logic_error&) {
      threw = true;
    }
    own->reset();
    Timer other(1h, [] {});
    other.start();
    refused->set_value(threw);
  });
  (*own)->start();
  CHECK(refused->get_future().get());
}
