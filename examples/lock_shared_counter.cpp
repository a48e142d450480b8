// Four processes add to one counter, under a lock.

#include <troupe/troupe.h>

#include <iostream>
#include <mutex>
#include <vector>

void add(troupe::Lock lock, troupe::RawValue<int> counter) {
  for (int i = 0; i < 10000; ++i) {
    const std::scoped_lock hold(lock);
    counter.value() += 1;
  }
}

int main(int argc, char** argv) {
  troupe::Program program(argc, argv);
  troupe::Lock lock;
  troupe::RawValue<int> counter(0);
  std::vector<troupe::Process> processes;
  for (int i = 0; i < 4; ++i) processes.emplace_back(add, lock, counter);
  for (auto& process : processes) process.start();
  for (auto& process : processes) process.join();
  std::cout << "counter: " << counter.value() << '\n';
}
