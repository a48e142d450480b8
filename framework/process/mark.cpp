#include "process/mark.h"

#include <sys/resource.h>

namespace troupe::process {

void mark_process(pid_t root, Serial serial) {
  rlimit mark{};
  if (::getrlimit(RLIMIT_LOCKS, &mark) != 0) return;
  mark.rlim_cur = static_cast<rlim_t>(root) << 32 | serial;
  ::setrlimit(RLIMIT_LOCKS, &mark);  // where that is forbidden, its orphans are taken for those of whoever died last
}

std::optional<Serial> mark_of(pid_t pid, pid_t root) {
  rlimit mark{};
  if (::prlimit(pid, RLIMIT_LOCKS, nullptr, &mark) != 0 || mark.rlim_cur >> 32 != static_cast<rlim_t>(root))
    return std::nullopt;
  return static_cast<Serial>(mark.rlim_cur);
}

}  // namespace troupe::process
