#include "process/origin.h"

#include <unistd.h>

#include <algorithm>

#include "os/proc.h"

namespace troupe::process {

Origin::Origin() : descriptors(os::open_descriptors()) {
  ::pthread_sigmask(SIG_BLOCK, nullptr, &blocked);
  ::sigaction(SIGINT, nullptr, &interrupt);
  ::getrlimit(RLIMIT_NOFILE, &files);
}

void Origin::close_later_descriptors(const std::vector<int>& keep) const {
  auto all = descriptors;
  all.insert(all.end(), keep.begin(), keep.end());
  std::ranges::sort(all);
  unsigned next = 0;
  for (int fd : all) {
    const auto kept = static_cast<unsigned>(fd);
    if (next < kept) ::close_range(next, kept - 1, 0);
    next = std::max(next, kept + 1);
  }
  ::close_range(next, ~0u, 0);
}

void Origin::restore_limits_and_mask(bool but_files) const {
  if (!but_files && files.rlim_cur != files.rlim_max) ::setrlimit(RLIMIT_NOFILE, &files);
  ::pthread_sigmask(SIG_SETMASK, &blocked, nullptr);
}

}  // namespace troupe::process
