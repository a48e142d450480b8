// Five processes joined one after the other, and five started first and joined then. The times go to standard error: together they
// take as long as the longest, one after the other as long as all.

#include <troupe/process.h>
#include <troupe/program.h>

#include <chrono>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

using Milliseconds = std::chrono::duration<double, std::milli>;
constexpr auto kWork = std::chrono::milliseconds(50);

int work(int number) {
  const auto begin = std::chrono::steady_clock::now();
  std::this_thread::sleep_for(kWork);  // stands for waiting for a disk or a network
  std::cerr << "  process " << number << " worked " << Milliseconds(std::chrono::steady_clock::now() - begin).count()
            << " ms\n";
  return number;
}

template <class Run>
Milliseconds time_of(const char* what, Run run) {
  const auto begin = std::chrono::steady_clock::now();
  run();
  const Milliseconds time = std::chrono::steady_clock::now() - begin;
  std::cerr << what << ": " << time.count() << " ms\n";
  return time;
}

int main(int argc, char** argv) {
  troupe::Program program(argc, argv);

  const auto in_turn = time_of("one after the other", [] {
    for (int i = 1; i <= 5; ++i) {
      troupe::Process process(work, i);
      process.start();
      process.join();
      std::cout << "process " << process.exitcode().value() << " joined\n";
    }
  });
  const auto together = time_of("all together", [] {
    std::vector<troupe::Process> processes;
    for (int i = 1; i <= 5; ++i) processes.emplace_back(work, i);
    for (auto& process : processes) process.start();
    for (auto& process : processes) process.join();
    for (auto& process : processes) std::cout << "process " << process.exitcode().value() << " joined\n";
  });
  std::cout << (in_turn >= 5 * kWork ? "one after the other took the sum of all\n" : "one after the other was too fast\n");
  std::cout << (together < in_turn ? "together was faster\n" : "together was no faster\n");
}
