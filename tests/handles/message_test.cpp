// Handles are fields of messages between actors.

#include <chrono>

#include <troupe/troupe.h>

#include "handles/shop.capnp.h"
#include "handles_support.h"
#include "support/catch.h"
#include "support/leftovers.h"

using namespace std::chrono_literals;
using namespace troupe;
using namespace handles_test;

namespace {

class Shop final : public Actor {
 public:
  explicit Shop(Context& context) : Actor(context) {
    on<shop::Order>([](shop::Order::Reader order) {
      auto [basket] = read_values<Queue<int>>(order.getBasket());
      for (unsigned i = 0; i < order.getCount(); ++i) basket.put(static_cast<int>(i));
    });
    on<shop::Ask, shop::Goods>([](shop::Ask::Reader, shop::Goods::Builder goods) {
      Queue<int> basket;  // ours no more when the reply is sent
      basket.put(7);
      write_values(goods.initBasket(), basket, Lock());
    });
  }
};

// Of this process: it stays, with its descriptors.
void start_node() {
  try {
    static_cast<void>(look_up("nobody", 30s));
  } catch (const ActorDown&) {
  }
}

}  // namespace

TEST_CASE("a queue that lies in a message is there when the message is read, though its sender has dropped it") {
  start_node();
  const test::Leftovers leftovers;
  Supervisor supervisor("", {.children = {Child::actor<Shop>("shop")}});
  supervisor.start();
  const Address there = look_up("shop", 30s);
  std::uint64_t number = 0;
  {
    Queue<int> basket;
    number = number_of(basket);
    there.send<shop::Order>([&](shop::Order::Builder order) {
      order.setCount(3);
      write_values(order.initBasket(), basket);
    });
    for (int i = 0; i < 3; ++i) CHECK(basket.get(30s) == i);
  }
  check_gone(number);
  {
    const auto reply = ask<shop::Ask, shop::Goods>(there).get(30s);
    auto [basket, lock] = read_values<Queue<int>, Lock>(reply->getBasket());
    CHECK(basket.get_nowait() == 7);
    CHECK(lock.try_lock());
    number = number_of(basket);
  }
  check_gone(number);
  supervisor.stop();
}

TEST_CASE("a handle in a message that nobody reads goes with whoever should have") {
  start_node();
  const test::Leftovers leftovers;
  Supervisor supervisor("", {.children = {Child::actor<Shop>("shop")}});
  supervisor.start();
  const Address there = look_up("shop", 30s);
  std::uint64_t number = 0;
  {
    Queue<int> basket;
    number = number_of(basket);
    there.send<shop::Goods>([&](shop::Goods::Builder goods) { write_values(goods.initBasket(), basket); });  // it knows no such message
  }
  supervisor.stop();
  check_gone(number);
}

TEST_CASE("what was got from a queue, or found no room in it, is not kept by it") {
  const test::Leftovers leftovers;
  Queue<Queue<int>> outer(1);
  std::uint64_t first = 0;
  std::uint64_t second = 0;
  {
    Queue<int> one;
    Queue<int> two;
    first = number_of(one);
    second = number_of(two);
    outer.put(one);
    CHECK_FALSE(outer.try_put(two));
  }
  check_gone(second);
  CHECK(outer.get().empty());
  check_gone(first);
}

TEST_CASE("a handle cannot be in a message that is not being sent") {
  const test::Leftovers leftovers;
  const Queue<int> basket;
  const auto keep = [&] { return Message<shop::Goods>([&](shop::Goods::Builder goods) { write_values(goods.initBasket(), basket); }); };
  CHECK_THROWS_AS(keep(), std::logic_error);
}
