// One process puts items into a queue, another takes them out.

#include <troupe/troupe.h>

#include <iostream>
#include <string>

void produce(troupe::Queue<std::string> queue) {
  for (int i = 1; i <= 5; ++i) queue.put("item " + std::to_string(i));
  queue.close();
}

void consume(troupe::Queue<std::string> queue) {
  for (const std::string& item : queue) std::cout << "consumed " << item << '\n';
  std::cout << "the queue is empty and closed\n";
}

int main(int argc, char** argv) {
  troupe::Program program(argc, argv);
  troupe::Queue<std::string> queue;
  troupe::Process producer(produce, queue);
  troupe::Process consumer(consume, queue);
  producer.start();
  consumer.start();
  producer.join();
  consumer.join();
}
