#pragma once

#include <cstdint>

#include "process/origin.h"
#include "topology/topology.h"

namespace troupe::topology {

struct RunOptions {
  void (*add_actors)(ActorCatalog& catalog) = nullptr;  // the ready-made ones; called in every process
  bool color = false;
};

// Makes this process the guard of a tree that runs `topology`, and waits for its end. Returns the exit code: 0 if everything was done, 1
// if a supervisor gave up or a child that is not restarted ended badly. After Ctrl-C, SIGTERM, SIGHUP or SIGQUIT all are stopped in
// order (a second one kills them), and this process dies of that signal. Messages go to standard error.
//
// What holds: when this process is killed, everything is ended; see process::run_root().
//
// Threads: call it from the one thread of a process.
int run(const Topology& topology, const process::Origin& origin, const RunOptions& options);

}  // namespace troupe::topology
