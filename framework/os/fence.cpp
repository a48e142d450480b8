#include "os/fence.h"

#include <linux/membarrier.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include <troupe/errors.h>

namespace troupe::os {
namespace {

long membarrier(int command) { return ::syscall(SYS_membarrier, command, 0, 0); }

}  // namespace

void heavy_fence() {
  while (membarrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED) != 0) {
    if (errno != ENOMEM) throw SystemError(errno, "membarrier");
    ::sched_yield();
  }
}

bool join_heavy_fences() {
  static const bool joined = membarrier(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED) == 0 && membarrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED) == 0;
  return joined;
}

}  // namespace troupe::os
