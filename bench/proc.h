#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

// What the kernel says of processes.
namespace bench {

// `pid` and all below it, as far as they live.
[[nodiscard]] std::vector<pid_t> tree_of(pid_t pid);

// How often the threads of `pid` were taken from a CPU, by themselves or not: that often they had been put on one. 0 if it is gone.
[[nodiscard]] long switches_of(pid_t pid);

// A line of /proc/PID/status that is a number: "VmRSS" in KiB, "Threads". 0 if there is none.
[[nodiscard]] long status_of(pid_t pid, const std::string& line);

}  // namespace bench
