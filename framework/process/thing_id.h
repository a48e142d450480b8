#pragma once

#include <cstddef>
#include <cstdint>

#include "os/descriptor.h"

namespace troupe::process {

// The number of a thing that processes share (a queue, a lock, an array …), never used twice. As with processes, whoever makes it
// chooses the number: its own serial, then a counter of its own.
using ThingId = std::uint64_t;

// How root puts it in order when a user has died.
enum class ThingKind : std::uint8_t { queue = 1, primitive = 2, first_end = 3, second_end = 4, blocks = 5 };  // the last three: of a pipe

// Of an item with handles that lies in a queue, never used twice: the serial of whoever puts it, then a counter of its own.
using Ticket = std::uint64_t;

// At a time, of one thing.
inline constexpr std::uint32_t kThingUsersMax = 256;

// In one packet.
inline constexpr std::size_t kThingsMax = 4096;

// The way to a thing, for one user: its memory, and its number among the users.
struct ThingAccess {
  std::uint32_t slot = 0;
  os::Descriptor memory;
  os::Descriptor socket = {};  // of the end of a pipe that goes over sockets
};

// The same as a new process inherits it.
struct ThingGrant {
  ThingId id = 0;
  std::uint32_t slot = 0;
  int memory = -1;  // root's descriptor, and now its own
  int socket = -1;  // the same; -1 if it has none
};

}  // namespace troupe::process
