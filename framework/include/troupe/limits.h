#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace troupe {

// What a process may use, and where it runs. What cannot be granted (a CPU that is not there, a folder, a higher priority without
// the right to it) is a process that failed to start, and its Death says what it was.
//
// Threads: a value.
struct Limits {
  // Bytes of memory that are really there (resident). Root looks ten times a second: above the budget, troupe::over_memory_budget()
  // is true in the process and its actors' on_over_budget() is called; above the maximum it is killed, and its Death is out_of_memory. 0: no limit.
  // Where the kernel limits groups of processes (cgroup version 2) and lets us, it keeps the maximum itself, at once, and counts what the
  // process forked, too. That is so where the tree may write to its own group, the memory controller is delegated to that, and nobody else is
  // in it: `systemd-run --user --scope -p Delegate=yes PROGRAM`. Elsewhere nothing is said of it.
  std::size_t memory_budget = 0;
  std::size_t memory_max = 0;

  std::optional<std::size_t> open_files = {};
  std::optional<bool> core_dumps = {};  // else as it was for Program
  std::optional<int> nice = {};         // 19: runs when nobody else wants to
  std::vector<int> cpus = {};           // by number; none: all that Program had
  std::string working_directory = {};   // else that of Program

  bool operator==(const Limits&) const = default;
};

}  // namespace troupe
