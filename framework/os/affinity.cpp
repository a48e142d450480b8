#include "os/affinity.h"

#include <sched.h>

#include "os/check_call.h"

namespace troupe::os {

std::vector<int> allowed_cpus() {
  cpu_set_t set;
  check_call(::sched_getaffinity(0, sizeof set, &set), "sched_getaffinity");
  std::vector<int> cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
  }
  return cpus;
}

void set_allowed_cpus(const std::vector<int>& cpus) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int cpu : cpus) CPU_SET(cpu, &set);
  check_call(::sched_setaffinity(0, sizeof set, &set), "sched_setaffinity");
}

int current_cpu() { return ::sched_getcpu(); }

}  // namespace troupe::os
