#pragma once

#include <troupe/death.h>

#include "os/pidfd.h"
#include "process/roster.h"

namespace troupe::process {

// The death record of a process that the kernel says ended so: its cause, and what the process left to tell of it.
Death autopsy(const Process& process, const os::Exit& exit);

}  // namespace troupe::process
