#include "os/cpus.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <initializer_list>
#include <limits>
#include <string>

#include "os/affinity.h"

namespace troupe::os {

namespace {

constexpr double kNoQuota = std::numeric_limits<double>::infinity();

// What one cgroup allows, as a number of CPUs. In version 2 one file says "QUOTA PERIOD" or "max PERIOD".
double quota_in(const std::string& folder) {
  double quota = 0;
  double period = 0;
  if (std::ifstream file(folder + "/cpu.max"); file >> quota >> period && period > 0) return quota / period;
  std::ifstream quota_file(folder + "/cpu.cfs_quota_us");  // version 1; -1: none
  std::ifstream period_file(folder + "/cpu.cfs_period_us");
  if (quota_file >> quota && period_file >> period && quota > 0 && period > 0) return quota / period;
  return kNoQuota;
}

// The least that a cgroup and those above it allow.
double quota_of(const std::string& mount, std::string path) {
  double least = quota_in(mount + path);
  while (!path.empty()) {
    path.erase(path.find_last_of('/'));
    least = std::min(least, quota_in(mount + path));
  }
  return least;
}

// Lines are "ID:CONTROLLERS:PATH"; version 2 names no controllers.
double quota_of_this_process() {
  double least = kNoQuota;
  std::ifstream list("/proc/self/cgroup");
  for (std::string line; std::getline(list, line);) {
    const auto first = line.find(':');
    const auto second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const std::string path = line.substr(second + 1) == "/" ? "" : line.substr(second + 1);
    if (controllers == ",,") {
      for (const char* mount : {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"}) least = std::min(least, quota_of(mount, path));
    } else if (controllers.find(",cpu,") != std::string::npos) {
      for (const char* mount : {"/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct"})
        least = std::min(least, quota_of(mount, path));
    }
  }
  return least;
}

}  // namespace

int cpu_count() {
  const auto allowed = static_cast<double>(allowed_cpus().size());
  return std::max(1, static_cast<int>(std::ceil(std::min(allowed, quota_of_this_process()))));
}

}  // namespace troupe::os
