#pragma once

#include <sys/resource.h>

#include <csignal>
#include <vector>

#include "process/entry.h"

namespace troupe::process {

// How things were when the tree began, so that what root forks later can be given the same.
//
// Threads: const after construction.
struct Origin {
  // Looks around; make it before the first descriptor is opened and the first signal blocked.
  Origin();

  // Closes what root opened since, but not `keep`.
  void close_later_descriptors(const std::vector<int>& keep) const;
  // Undoes what root did to signals and limits. The terminal's SIGINT stays ignored: it is for main.
  void restore_limits_and_mask(bool but_files) const;

  Modules modules;
  std::vector<int> descriptors;  // sorted
  sigset_t blocked;
  struct sigaction interrupt;    // what SIGINT did
  rlimit files;
};

}  // namespace troupe::process
