#pragma once

#include <vector>

namespace troupe::os {

// CPUs that this thread may run on.
std::vector<int> allowed_cpus();

// Confines this thread, and what it starts later, to `cpus`.
void set_allowed_cpus(const std::vector<int>& cpus);

// The CPU that this thread runs on at the moment.
int current_cpu();

}  // namespace troupe::os
