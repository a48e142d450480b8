#pragma once

#include <cstdint>
#include <set>
#include <vector>

#include "queue/queue_memory.h"

namespace troupe::queue {

// Of an item that has handles in it: the number by which root knows them. It is given by whoever puts the item, and lies among its
// bytes, where QueueOptions::ticket_end says. 0: it has none.
using Ticket = std::uint64_t;

// For root, while others use the queue; nothing waits here.

// Of the item in that lease entry.
[[nodiscard]] Ticket ticket_in(const QueueMemory& memory, std::uint32_t entry);

// Those that no item in the queue has. One that was put before the call, and that no consumer has said to be done with, is found: an item
// goes from the log into an entry, and from an entry into a lower one, and all this looks in the same order. Throws ProtocolError.
[[nodiscard]] std::vector<Ticket> tickets_lost(const QueueMemory& memory, std::set<Ticket> sought);

}  // namespace troupe::queue
