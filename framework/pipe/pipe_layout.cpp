#include "pipe/pipe_layout.h"

#include <new>

#include <troupe/errors.h>

#include "base/check.h"
#include "ring/ring.h"

namespace troupe::pipe {
namespace {

std::size_t ring_size(std::size_t capacity) { return ring::ring_memory_size(capacity); }
std::size_t rings_size(const PipeShape& shape) {
  if (shape.over_sockets) return kPipeHeaderSize;
  return kPipeHeaderSize + (shape.duplex ? 2 : 1) * ring_size(shape.ring_capacity);
}
constexpr std::size_t to_page(std::size_t size) { return (size + kBlockPage - 1) / kBlockPage * kBlockPage; }

}  // namespace

std::size_t control_size(const PipeShape& shape) {
  const std::size_t rings = rings_size(shape);
  return shape.block_bytes == 0 ? rings : to_page(to_page(rings) + sizeof(BlockTable));
}

std::size_t memory_size(const PipeShape& shape) { return control_size(shape) + to_page(shape.block_bytes); }

void format(std::span<std::byte> memory, const PipeShape& shape) {
  TROUPE_CHECK(ring::is_capacity(shape.ring_capacity) && memory.size() >= control_size(shape),
               "a pipe needs control_size() of its shape at least");
  TROUPE_CHECK(!shape.over_sockets || shape.block_bytes == 0, "no blocks go over sockets");
  auto* header = new (memory.data()) PipeHeader{};
  header->version = kPipeVersion;
  header->duplex = shape.duplex ? 1 : 0;
  header->ring_capacity = shape.ring_capacity;
  header->block_bytes = shape.block_bytes;
  header->over_sockets = shape.over_sockets ? 1 : 0;
  for (Way& way : header->ways) way.send_lock.allow_keeping(), way.receive_lock.allow_keeping();
  header->magic = kPipeMagic;
  if (shape.over_sockets) return;
  if (shape.duplex) ring::format_ring(ring_of(memory, Side::first));
  ring::format_ring(ring_of(memory, Side::second));
  if (BlockTable* table = block_table(memory)) new (table) BlockTable{};
}

PipeHeader& header_of(std::span<std::byte> memory) {
  if (memory.size() < kPipeHeaderSize) throw ProtocolError("not a pipe: too small");
  auto& header = *reinterpret_cast<PipeHeader*>(memory.data());
  if (header.magic != kPipeMagic || header.version != kPipeVersion) throw ProtocolError("not a pipe of this version");
  return header;
}

PipeShape shape_of(std::span<std::byte> memory) {
  const PipeHeader& header = header_of(memory);
  const PipeShape shape{.ring_capacity = header.ring_capacity,
                        .duplex = header.duplex != 0,
                        .block_bytes = header.block_bytes,
                        .over_sockets = header.over_sockets != 0};
  if (!ring::is_capacity(shape.ring_capacity) || shape.block_bytes > kBlockBytesMax || (shape.over_sockets && shape.block_bytes != 0))
    throw ProtocolError("not a pipe: sizes that it cannot have");
  return shape;
}

std::span<std::byte> ring_of(std::span<std::byte> memory, Side sender) {
  const PipeShape shape = shape_of(memory);
  if (memory.size() != memory_size(shape) && (shape.block_bytes == 0 || memory.size() != control_size(shape)))
    throw ProtocolError("not a pipe: its sizes are not that of its memory");
  if (shape.over_sockets || (sender == Side::first && !shape.duplex)) return {};
  const std::size_t at = shape.duplex ? index(sender) : 0;
  return memory.subspan(kPipeHeaderSize + at * ring_size(shape.ring_capacity), ring_size(shape.ring_capacity));
}

BlockTable* block_table(std::span<std::byte> memory) {
  const PipeShape shape = shape_of(memory);
  if (shape.block_bytes == 0) return nullptr;
  if (memory.size() < control_size(shape)) throw ProtocolError("not a pipe: too small for its blocks");
  return reinterpret_cast<BlockTable*>(memory.data() + to_page(rings_size(shape)));
}

std::span<std::byte> block_area(std::span<std::byte> memory) {
  const PipeShape shape = shape_of(memory);
  return memory.size() == memory_size(shape) ? memory.subspan(control_size(shape)) : std::span<std::byte>();
}

}  // namespace troupe::pipe
