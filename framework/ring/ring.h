#pragma once

#include <cstddef>
#include <span>

#include "ring/ring_layout.h"

namespace troupe::ring {

// Makes an empty ring of `memory`, which is ring_memory_size() of a power of two and lies on a line.
void format_ring(std::span<std::byte> memory);

// The ring in `memory`, its constants checked. Throws ProtocolError if it is not one of exactly this size.
struct Ring {
  explicit Ring(std::span<std::byte> memory);

  RingHeader* header;
  std::byte* frames;
  std::uint64_t capacity;
};

}  // namespace troupe::ring
