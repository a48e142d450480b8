// A producer in one process, a consumer in another, and main, which asks what came of it.

#include <troupe/actor_process.h>
#include <troupe/program.h>

#include <iostream>
#include <string>

#include "producer_consumer.capnp.h"

class Consumer : public troupe::Actor {
 public:
  explicit Consumer(troupe::Context& context) : Actor(context) {
    on<Item>([this](Item::Reader item) {
      ++items_;
      letters_ += item.getText().size();
    });
    on<Report, Summary>([this](Report::Reader, Summary::Builder summary) {
      summary.setItems(items_);
      summary.setLetters(letters_);
    });
  }

 private:
  std::uint32_t items_ = 0;
  std::uint64_t letters_ = 0;
};

class Producer : public troupe::Actor {
 public:
  Producer(troupe::Context& context, troupe::Address consumer, std::uint32_t count) : Actor(context) {
    for (std::uint32_t number = 0; number < count; ++number) {
      consumer.send<Item>([=](Item::Builder item) {  // should the consumer be slow, this actor waits
        item.setNumber(number);
        item.setText("item " + std::to_string(number));
      });
    }
    stop();
  }
};

int main(int argc, char** argv) {
  troupe::Program program(argc, argv);
  auto consumer = troupe::start_process<Consumer>({.name = "consumer"});
  auto producer = troupe::start_process<Producer>({.name = "producer"}, consumer.address(), 1000u);
  producer.join();

  auto summary = troupe::ask<Report, Summary>(consumer.address()).get(std::chrono::seconds(10));
  std::cout << summary->getItems() << " items of " << summary->getLetters() << " letters\n";

  // Whoever asks a dead actor is told at once what it died of.
  consumer.kill();
  consumer.join();
  try {
    static_cast<void>(troupe::ask<Report, Summary>(consumer.address()).get());
  } catch (const troupe::ActorDown& down) {
    std::cout << "the consumer was " << down.death().describe() << '\n';
  }
}
