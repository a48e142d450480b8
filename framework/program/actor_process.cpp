#include <troupe/actor_process.h>

#include "program/host.h"

namespace troupe {

namespace {

// The first actor of a node is always there.
constexpr std::uint32_t kFirstSlot = 0;
constexpr std::uint32_t kFirstGeneration = 1;

}  // namespace

ActorProcess::ActorProcess(Process process) : Process(std::move(process)) {
  start();
  address_ = Address(id(), kFirstSlot, kFirstGeneration);
}

int detail::host(Function<std::unique_ptr<Actor>(Context&)> make) { return program::host_actor(std::move(make)); }

}  // namespace troupe
