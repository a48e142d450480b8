#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "ring/ring_layout.h"
#include "shared/owner_lock.h"

namespace troupe::pipe {

using HalfWord = std::atomic<std::uint32_t>;
using Word = std::atomic<std::uint64_t>;

// Blocks go over a pipe without being copied: what travels in the ring is a BlockReference. They lie behind the rings, in an area of which
// only what is used has memory, described by a table of records.
//
// A block is used by the processes that hold it (a bit each, by their slots) and by the references that are under way: those of each way
// that were sent and not received. Both counts only grow, each under the lock of its end. Each change is one store; what belongs together
// is written down first (BlockStage), so that root can finish it for one that is killed:
//
//     send:     stage, tail of the ring (commits), `sent`, end of stage       the sender holds the block all the while
//     receive:  stage, holder's bit, head of the ring (commits), `received`, end of stage
//     let go:   holder's bit; if nothing uses it now: state
//
// So `sent` may lag behind what is under way, but only while a sender who holds the block is about to raise it; `received` may lag behind what
// has arrived, but only while a receiver whose bit is set is about to. Who looks whether a block is unused reads `received`, the bits, `sent`, and
// `received` again: a reference that slipped from a bit not yet read to one already read was received meanwhile. The state carries a
// generation, so that only one of those who find it unused frees it, and only that block.
//
// A free record keeps its place and its memory for the next block, an empty one has none. Only who holds the table's lock makes a block of
// a record, or takes the place of a free one: it is at that alone that a process can be killed under this lock, and each of these is
// one store of the state.
inline constexpr std::size_t kBlocksMax = 512;
inline constexpr std::size_t kBlockPage = 4096;  // they begin and end at these
inline constexpr std::size_t kHoldersMax = 256;  // slots of processes

enum class BlockState : std::uint64_t { empty, free, used };
inline constexpr unsigned kGenerationShift = 2;
constexpr std::uint64_t block_word(std::uint64_t generation, BlockState state) {
  return generation << kGenerationShift | static_cast<std::uint64_t>(state);
}
constexpr BlockState state_of(std::uint64_t word) { return static_cast<BlockState>(word & ((1U << kGenerationShift) - 1)); }
constexpr std::uint64_t generation_of(std::uint64_t word) { return word >> kGenerationShift; }

struct BlockRecord {
  Word state;
  Word offset;    // in the area
  Word capacity;  // bytes of the area
  std::array<Word, kHoldersMax / 64> holders;
  std::array<Word, 2> sent;  // references, by the side that sends
  std::array<Word, 2> received;
  Word reserved[5];
};
static_assert(sizeof(BlockRecord) == ring::kLine);

struct BlockTable {
  alignas(ring::kLine) shared::OwnerLock lock;
  std::atomic<std::uint32_t> records_used;           // so many of them, at most, were ever used; under the lock
  alignas(ring::kLine) std::atomic<std::uint32_t> wanted;  // somebody waits for a block
  std::atomic<std::uint32_t> epoch;                  // and sleeps on this
  alignas(ring::kLine) std::array<BlockRecord, kBlocksMax> records;
};

// Of one end of a way: a reference that is being sent or received.
struct alignas(ring::kLine) BlockStage {
  Word owner;  // slot plus 1 of who is at it, among the users of the blocks; 0: nobody
  Word block;
  Word position;  // it is done once the ring's index is here
  Word count;     // what `sent` or `received` is then
};

// The data of a record of the ring.
struct BlockReference {
  std::uint64_t block;
  std::uint64_t generation;
  std::uint64_t size;  // of what is in it
  std::uint64_t type;  // of that, for the users
};

}  // namespace troupe::pipe
