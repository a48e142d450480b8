#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "topology/topology.h"

namespace troupe::topology {

// What start_actor() is to be given, for one process.
std::vector<std::byte> start_arguments(const ActorWork& work, void (*add_actors)(ActorCatalog&));

// The life of a process of a topology: loads the library if there is one, makes the actor, gives it its name, and runs it. An Entry.
int start_actor(std::span<const std::byte> arguments);

}  // namespace troupe::topology
