#include "ring/ring.h"

#include <new>

#include <troupe/errors.h>

#include "base/check.h"

namespace troupe::ring {
namespace {

bool aligned(const std::byte* memory) { return reinterpret_cast<std::uintptr_t>(memory) % kLine == 0; }

}  // namespace

void format_ring(std::span<std::byte> memory) {
  TROUPE_CHECK(memory.size() > sizeof(RingHeader) && is_capacity(memory.size() - sizeof(RingHeader)) && aligned(memory.data()),
               "a ring's memory is ring_memory_size() of a power of two, on a line of its own");
  auto* header = new (memory.data()) RingHeader{};
  header->magic = kRingMagic;
  header->version = kRingVersion;
  header->capacity = memory.size() - sizeof(RingHeader);
}

Ring::Ring(std::span<std::byte> memory) {
  if (memory.size() <= sizeof(RingHeader) || !aligned(memory.data()))
    throw ProtocolError("not a ring: too small or not aligned");
  header = reinterpret_cast<RingHeader*>(memory.data());
  frames = memory.data() + sizeof(RingHeader);
  capacity = memory.size() - sizeof(RingHeader);
  if (header->magic != kRingMagic || header->version != kRingVersion) throw ProtocolError("not a ring of this version");
  if (!is_capacity(capacity) || header->capacity != capacity)
    throw ProtocolError("not a ring: its capacity is not that of its memory");
}

}  // namespace troupe::ring
