// Two processes add one to a number: without a lock one of the two is lost, with a lock none is.

#include <troupe/troupe.h>

#include <iostream>
#include <mutex>

// Both read before either writes: a barrier makes happen every time what else happens now and then.
void add_carelessly(troupe::RawValue<int> number, troupe::Barrier both) {
  const int seen = number.value();
  both.wait();
  number.value() = seen + 1;
}

void add_under_lock(troupe::Value<int> number) {
  const std::scoped_lock hold(number.get_lock());
  number.value() += 1;
}

void run(troupe::Process one, troupe::Process other) {
  one.start();
  other.start();
  one.join();
  other.join();
}

int main(int argc, char** argv) {
  troupe::Program program(argc, argv);
  troupe::RawValue<int> careless(0);
  troupe::Barrier both(2);
  run(troupe::Process(add_carelessly, careless, both), troupe::Process(add_carelessly, careless, both));
  std::cout << "without a lock: 1 + 1 = " << careless.value() << '\n';
  troupe::Value<int> careful(0);
  run(troupe::Process(add_under_lock, careful), troupe::Process(add_under_lock, careful));
  std::cout << "with a lock: 1 + 1 = " << careful.get() << '\n';
}
