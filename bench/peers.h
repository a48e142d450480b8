#pragma once

#include <cstddef>

#include "harness.h"

// What the kernel and the machine give without us: the floor that our figures are held against. Each function does its work once.
namespace bench {

// Frames a second over the simplest ring with one writer and one reader: slots of `frame_size` bytes (64, 1,024 or 65,536), copied in
// and out, one store of head and tail each, both sides spinning; on one CPU they yield instead.
double bare_ring_rate(const Placement& where, std::size_t frame_size, int frames);

// Messages a second through a pipe of 1 MiB, one write a message and one read a message.
double bare_pipe_rate(const Placement& where, std::size_t message_size, int messages);

// Mean round trip in µs between two processes that sleep on futexes.
double futex_round_trip_us(const Placement& where, int trips);

// Mean round trip in µs between two processes that spin on shared memory; two CPUs only.
double spinning_round_trip_us(const Placement& where, int trips);

// Mean round trip of one byte in µs over a pair of pipes.
double pipe_round_trip_us(const Placement& where, int trips);

// A process of the benchmark's size at the time it is made, which forks on request. Make it first, while the benchmark is small (and
// after troupe::Program where there is one).
class SmallProcess {
 public:
  SmallProcess();
  ~SmallProcess();
  SmallProcess(const SmallProcess&) = delete;
  SmallProcess& operator=(const SmallProcess&) = delete;

  // fork + _exit + waitpid, one after the other; processes a second, timed inside the small process.
  double fork_exit_wait_rate(int processes);

 private:
  int request_ = -1;  // our end of a socket pair
  pid_t pid_ = -1;
};

// Processes a second that Python's multiprocessing starts and joins, one after the other, by its start method ("fork", "forkserver",
// "spawn"). Throws std::runtime_error where there is no python3.
double python_start_join_rate(const char* start_method, int processes);

}  // namespace bench
