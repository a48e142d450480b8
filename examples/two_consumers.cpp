// A producer and two consumers. When the producer is done it closes the queue, and that ends the consumers' loops. One of them is killed
// on the way: what it had leased goes to the other.

#include <troupe/troupe.h>

#include <unistd.h>

#include <csignal>
#include <iostream>
#include <mutex>

using Numbers = troupe::Queue<int>;

void produce(Numbers numbers) {
  for (int i = 1; i <= 100; ++i) numbers.put(i);
  numbers.close();
}

void consume(Numbers numbers, troupe::Value<int> sum) {
  while (auto number = numbers.try_lease(troupe::kForever)) {
    const std::scoped_lock hold(sum.get_lock());
    sum.value() += **number;
  }
}

void consume_one_and_die(Numbers numbers) {
  const auto number = numbers.lease();
  kill(getpid(), SIGKILL);
}

int main(int argc, char** argv) {
  troupe::Program program(argc, argv);
  Numbers numbers(10);
  troupe::Value<int> sum(0);
  troupe::Process producer(produce, numbers);
  troupe::Process unlucky(consume_one_and_die, numbers);
  troupe::Process consumer(consume, numbers, sum);
  producer.start();
  unlucky.start();
  unlucky.join();
  std::cout << "one consumer: " << unlucky.death()->describe() << '\n';
  consumer.start();
  consumer.join();
  producer.join();
  std::cout << "sum: " << sum.get() << ", redelivered: " << numbers.counts().redelivered << '\n';
}
