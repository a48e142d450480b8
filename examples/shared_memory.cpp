// Processes fill a block of memory that they share, each its own part; nothing is copied, and no file is left of it.

#include <troupe/troupe.h>

#include <iostream>
#include <numeric>
#include <vector>

void fill(troupe::SharedMemory block, int part, int parts) {
  const auto numbers = block.as<long>();
  const std::size_t count = numbers.size() / static_cast<std::size_t>(parts);
  const auto mine = numbers.subspan(static_cast<std::size_t>(part) * count, count);
  std::iota(mine.begin(), mine.end(), static_cast<long>(part) * static_cast<long>(count));
}

int main(int argc, char** argv) {
  troupe::Program program(argc, argv);
  troupe::SharedMemory block(1'000'000 * sizeof(long));

  std::vector<troupe::Process> processes;
  for (int part = 0; part < 4; ++part) processes.emplace_back(fill, block, part, 4);
  for (auto& process : processes) process.start();
  for (auto& process : processes) process.join();

  const auto numbers = block.as<long>();
  std::cout << "sum: " << std::accumulate(numbers.begin(), numbers.end(), 0L) << '\n';
}
