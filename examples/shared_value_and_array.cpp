// A number and an array that another process changes.

#include <troupe/troupe.h>

#include <iostream>
#include <mutex>

void change(troupe::Value<double> number, troupe::Array<int> numbers) {
  number.set(3.1415927);
  const std::scoped_lock hold(numbers.get_lock());
  for (int& each : numbers) each = -each;
}

int main(int argc, char** argv) {
  troupe::Program program(argc, argv);
  troupe::Value<double> number(0.0);
  troupe::Array<int> numbers{0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
  troupe::Process process(change, number, numbers);
  process.start();
  process.join();
  std::cout.precision(8);
  std::cout << number.get() << '\n';
  for (const int each : numbers) std::cout << each << ' ';
  std::cout << '\n';
}
