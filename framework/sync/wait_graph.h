#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "sync/lock.h"

namespace troupe::sync {

// Somebody waits for a lock that somebody holds. Root numbers processes and locks; slots mean nothing outside of their lock.
struct Edge {
  std::uint64_t waiter;
  std::uint64_t lock;
  std::uint64_t holder;
  std::uint32_t since;  // see Wait

  bool operator==(const Edge&) const = default;
};

// Each waits for the next one, and the last for the first: none of them goes on by itself. (Unless one has threads that do not wait,
// or a third releases a Lock on behalf of its holder: report it, do not break it.)
using Circle = std::vector<Edge>;

// The circles among `edges`, each once, beginning with its lowest waiter. Where a process waits with several threads, not every way
// round is listed.
std::vector<Circle> find_circles(std::span<const Edge> edges);

// What root knows of a lock: the processes that have slots in it, in order of the slots.
struct LockUsers {
  std::uint64_t lock;
  AnyLock handle;
  std::vector<std::uint64_t> processes;
};

// The lock in that memory, as root sees it: itself, or that of an array or a condition; nothing if there is none.
std::optional<AnyLock> lock_in(std::span<std::byte> memory);

// Who waits for whom now.
std::vector<Edge> read_edges(std::span<const LockUsers> locks);

// The circles that there are. Reading takes time, so what looks like a circle may never have been one: it counts if all who are in it
// waited from the first look to a second one.
std::vector<Circle> circles_among(std::span<const LockUsers> locks);

}  // namespace troupe::sync
