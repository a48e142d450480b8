#pragma once

namespace troupe::os {

// CPUs that this process may keep busy: those that it may run on, or fewer where its cgroup has a quota (rounded up). At least 1.
int cpu_count();

}  // namespace troupe::os
