// Start and join of processes: through root, against the bare system calls and Python.

#include <troupe/process.h>
#include <troupe/program.h>

#include <chrono>
#include <deque>

#include "harness.h"
#include "peers.h"

namespace {

void nothing() {}

double rate(int count, std::chrono::steady_clock::time_point begin) {
  return count / std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// Processes a second, with `in_flight` started and not yet joined.
double start_join_rate(int processes, std::size_t in_flight) {
  const auto begin = std::chrono::steady_clock::now();
  std::deque<troupe::Process> running;
  for (int i = 0; i < processes; ++i) {
    if (running.size() == in_flight) {
      running.front().join();
      running.pop_front();
    }
    running.emplace_back(nothing).start();
  }
  for (auto& process : running) process.join();
  return rate(processes, begin);
}

}  // namespace

int main(int argc, char** argv) {
  const troupe::Program program(argc, argv);
  bench::Suite suite("process", argc, argv);
  bench::SmallProcess small;
  const auto bare = [&] { return small.fork_exit_wait_rate(500); };
  suite.compare({.name = "start + join, one after the other",
                 .unit = "processes/s",
                 .ours = [] { return start_join_rate(500, 1); },
                 .theirs = bare,
                 .peer = "fork, exit, wait",
                 .target = bench::at_least(0.5)});
  suite.compare({.name = "start + join, sixteen in flight",
                 .unit = "processes/s",
                 .ours = [] { return start_join_rate(1000, 16); },
                 .theirs = bare,
                 .peer = "fork, exit, wait",
                 .target = bench::at_least(0.9)});
  suite.compare({.name = "start + join",
                 .unit = "processes/s",
                 .ours = [] { return start_join_rate(500, 1); },
                 .theirs = [] { return bench::python_start_join_rate("fork", 100); },
                 .peer = "Python, fork",
                 .target = bench::at_least(5)});
  return suite.finish();
}
