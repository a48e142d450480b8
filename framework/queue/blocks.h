#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "queue/held.h"
#include "queue/queue_memory.h"

namespace troupe::queue {

// A block and which use of it, so that what was freed long ago is not mistaken for what lies there now. Never 0.
//
//      | generation: 32 bits | class: 5 bits | index: 27 bits |
using BlockId = std::uint64_t;

// Memory for large items, in classes of blocks that double in size. The memfd is sparse: what a block does not use costs nothing.
// There is no lock. A block is one word, which says who writes it or that a record in the log (or a lease) refers to it:
//
//      | generation: 32 bits | owner: 16 bits | free, writing or queued: 16 bits |
//
// Blocks are read and written through the descriptor: a lack of memory is an error and not a SIGBUS, and no address space is used.
//
// Threads: any.
class Blocks {
 public:
  Blocks(const QueueMemory& memory, Owner me) : memory_(memory), me_(me) {}

  // A block being written by us with these bytes in it; nothing if there is none free. Throws SystemError.
  [[nodiscard]] std::optional<BlockId> write(std::span<const std::byte> bytes);

  // It has a record in the log now. Nothing happens if a consumer was done with it before.
  static void mark_queued(const QueueMemory& memory, BlockId block);

  // Throws ProtocolError if there cannot be an item of `size` bytes in it.
  void check(BlockId block, std::uint64_t size) const;

  // Copies out. Throws SystemError.
  void read(BlockId block, std::span<std::byte> bytes) const;

  // For whoever alone refers to it. Nothing happens if it was freed before.
  static void free(const QueueMemory& memory, BlockId block);
  void free(BlockId block) { free(memory_, block); }

  // The memory that free blocks have kept goes back to the kernel. False if blocks that keep theirs are in use.
  bool give_back_spare();

  // Frees all that `writer` was writing; for root.
  static void free_written_by(const QueueMemory& memory, Owner writer);

  // Blocks in use; for tests.
  [[nodiscard]] static std::uint64_t used(const QueueMemory& memory);

 private:
  [[nodiscard]] std::optional<BlockId> take(std::uint32_t size_class);
  [[nodiscard]] std::optional<BlockId> take(std::uint32_t size_class, std::uint32_t index);

  const QueueMemory& memory_;
  Owner me_;
};

}  // namespace troupe::queue
