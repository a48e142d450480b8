#include "os/check_call.h"

#include <sys/resource.h>

namespace troupe::os {

// Without fmt: UBSan looks at its objects by way of a pipe, for which there may be no descriptors.
std::string remedy(int error) {
  rlimit files{};
  switch (error) {
    case EMFILE: ::getrlimit(RLIMIT_NOFILE, &files); return " (a process may have " + std::to_string(files.rlim_cur) + ": see ulimit -n)";
    case ENFILE: return " (of all processes together: see /proc/sys/fs/file-max)";
    case EFBIG: return " (see ulimit -f)";
    case ENOSPC: return " (see free, and the memory limit of the cgroup)";
    case ENOMEM: return " (see free, ulimit -v, and the memory limit of the cgroup)";
    case EAGAIN: return " (see ulimit -u and -v, and the limit of processes of the cgroup)";  // fork, a thread
    default: return {};
  }
}

void throw_error(int error, const std::string& what) { throw SystemError(error, what + remedy(error)); }

}  // namespace troupe::os
