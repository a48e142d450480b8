// Two players, each in a process of its own, hit a ball to and fro.

#include <troupe/actor_process.h>
#include <troupe/program.h>

#include <iostream>

#include "ping_pong.capnp.h"

class Pong : public troupe::Actor {
 public:
  explicit Pong(troupe::Context& context) : Actor(context) {
    on<Ball, Ball>([](Ball::Reader ping, Ball::Builder pong) { pong.setHit(ping.getHit() + 1); });
  }
};

class Ping : public troupe::Actor {
 public:
  Ping(troupe::Context& context, troupe::Address pong) : Actor(context), pong_(pong) { hit(0); }

 private:
  void hit(std::uint32_t number) {
    ask<Ball, Ball>(pong_, [=](Ball::Builder ball) { ball.setHit(number); }).then([this](Ball::Reader ball) {
      if (ball.getHit() < 10'000) return hit(ball.getHit() + 1);
      std::cout << "the ball was hit " << ball.getHit() << " times\n";
      stop();
    });
  }

  troupe::Address pong_;
};

int main(int argc, char** argv) {
  troupe::Program program(argc, argv);
  auto pong = troupe::start_process<Pong>({.name = "pong"});
  auto ping = troupe::start_process<Ping>({.name = "ping"}, pong.address());
  ping.join();
  pong.terminate();
}
