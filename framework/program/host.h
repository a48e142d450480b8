#pragma once

#include <troupe/actor.h>
#include <troupe/function.h>

#include <memory>
#include <string>

#include "node/node.h"

namespace troupe::program {

struct HostOptions {
  std::string name = {};       // that the actor gets in the tree, if any
  bool print_failure = true;   // on standard error; root is told in any case
  node::NodeOptions node = {};
};

// What a process does that is there for one actor: makes it, says that the process is ready, runs it and all that it makes until they
// have ended or the process is to stop. The exit code: 0, or 1 if an actor could not be made or threw. There must be a process::Client.
int host_actor(Function<std::unique_ptr<Actor>(Context&)> make, const HostOptions& options = {});

// The node of a process that does other things too, on a thread of its own. Made when it is first asked for.
node::Node& process_node();
// Ends it, if there is one, with all its actors: before the process's statics are destroyed.
void end_process_node();

}  // namespace troupe::program
