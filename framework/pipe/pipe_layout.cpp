#include "pipe/pipe_layout.h"

#include <new>

#include <troupe/errors.h>

#include "base/check.h"
#include "ring/ring.h"

namespace troupe::pipe {
namespace {

std::size_t ring_size(std::size_t capacity) { return ring::ring_memory_size(capacity); }

}  // namespace

std::size_t memory_size(const PipeShape& shape) {
  return kPipeHeaderSize + (shape.duplex ? 2 : 1) * ring_size(shape.ring_capacity);
}

void format(std::span<std::byte> memory, const PipeShape& shape) {
  TROUPE_CHECK(ring::is_capacity(shape.ring_capacity) && memory.size() == memory_size(shape),
               "a pipe needs memory_size() of its shape");
  auto* header = new (memory.data()) PipeHeader{};
  header->version = kPipeVersion;
  header->duplex = shape.duplex ? 1 : 0;
  header->ring_capacity = shape.ring_capacity;
  for (Way& way : header->ways) way.send_lock.allow_keeping(), way.receive_lock.allow_keeping();
  header->magic = kPipeMagic;
  if (shape.duplex) ring::format_ring(ring_of(memory, Side::first));
  ring::format_ring(ring_of(memory, Side::second));
}

PipeHeader& header_of(std::span<std::byte> memory) {
  if (memory.size() < kPipeHeaderSize) throw ProtocolError("not a pipe: too small");
  auto& header = *reinterpret_cast<PipeHeader*>(memory.data());
  if (header.magic != kPipeMagic || header.version != kPipeVersion) throw ProtocolError("not a pipe of this version");
  return header;
}

std::span<std::byte> ring_of(std::span<std::byte> memory, Side sender) {
  const PipeHeader& header = header_of(memory);
  const std::size_t capacity = header.ring_capacity;
  const bool duplex = header.duplex != 0;
  if (!ring::is_capacity(capacity) || memory.size() != memory_size({capacity, duplex}))
    throw ProtocolError("not a pipe: its capacity is not that of its memory");
  if (sender == Side::first && !duplex) return {};
  const std::size_t at = duplex ? index(sender) : 0;
  return memory.subspan(kPipeHeaderSize + at * ring_size(capacity), ring_size(capacity));
}

}  // namespace troupe::pipe
