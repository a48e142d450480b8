#include "os/fence.h"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/check_call.h"

namespace troupe::os {
namespace {

long membarrier(int command) { return ::syscall(SYS_membarrier, command, 0, 0); }

}  // namespace

void heavy_fence() { check_call(membarrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED), "membarrier"); }

bool join_heavy_fences() {
  static const bool joined = membarrier(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED) == 0 && membarrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED) == 0;
  return joined;
}

}  // namespace troupe::os
