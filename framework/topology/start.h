#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "topology/topology.h"

namespace troupe::topology {

// What start_actor() is to be given, for one process.
std::vector<std::byte> start_arguments(const ActorWork& work, void (*add_actors)(ActorCatalog&));

// Makes the actor that start_arguments() are about, loading its library if there is one. Throws ConfigError, and what its constructor throws.
std::unique_ptr<Actor> make_actor(Context& context, std::span<const std::byte> arguments);

// The life of a process of a topology: loads the library if there is one, makes the actor, gives it its name, and runs it. An Entry.
int start_actor(std::span<const std::byte> arguments);

}  // namespace troupe::topology
