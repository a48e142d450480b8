// Cars wait at a traffic light: an Event that the light sets and clears.

#include <troupe/troupe.h>

#include <iostream>
#include <vector>

using namespace std::chrono_literals;

void drive(troupe::Event green, troupe::Queue<int> waiting, troupe::Queue<int> passed, int car) {
  waiting.put(car);
  green.wait();
  passed.put(car);
}

int main(int argc, char** argv) {
  troupe::Program program(argc, argv);
  troupe::Event green;
  troupe::Queue<int> waiting;
  troupe::Queue<int> passed;
  std::vector<troupe::Process> cars;
  for (int car = 1; car <= 3; ++car) cars.emplace_back(drive, green, waiting, passed, car);
  for (auto& car : cars) car.start();
  for (int i = 0; i < 3; ++i) waiting.get();
  std::cout << "red: " << passed.qsize() << " of 3 cars have passed" << std::endl;
  green.set();
  for (auto& car : cars) car.join();
  std::cout << "green: " << passed.qsize() << " of 3 cars have passed" << std::endl;
  green.clear();
  std::cout << "red again: a car that waits 10 ms " << (green.wait(10ms) ? "passes" : "is still there") << '\n';
}
