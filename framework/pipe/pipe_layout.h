#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "pipe/block_layout.h"
#include "ring/ring_layout.h"
#include "shared/kept_lock.h"

namespace troupe::pipe {

// The bytes that the two ends of a pipe share:
//
//        0  PipeHeader: constants, then a Way for each direction
//     4096  the ring of the way that the first side writes, if it may
//           the ring of the way that the second side writes
//           if blocks go over it: a BlockTable, and from the next page on their area
//
// A pipe over sockets has only the header; each end goes with a socket, which root keeps beside the memory (see packets.h).
//
// An end may be held by several processes. Those of the sending side exclude one another by send_lock, those of the receiving side by
// receive_lock; under its lock each of them is the ring's only writer or reader. A ring commits by one store, so that whoever is killed
// under a lock leaves nothing to repair but the lock itself.
//
// What does not fit in a record of the ring goes in several: one of kind first, which begins with the whole size in 8 bytes, and then
// more, all under one send_lock. Any other record in between shows that the sender has died over it.
//
// Who waits sleeps on an epoch. Wishes to be woken stand in the ring's header (reader_asleep, room_wanted).
inline constexpr std::uint64_t kPipeMagic = 0x6570697065707254;  // "Trpepipe"
inline constexpr std::uint32_t kPipeVersion = 4;
inline constexpr std::size_t kPipeHeaderSize = 4096;

// Of the two ends, first that which Python calls conn1.
enum class Side : std::uint32_t { first, second };
constexpr Side other(Side side) { return side == Side::first ? Side::second : Side::first; }
constexpr std::size_t index(Side side) { return static_cast<std::size_t>(side); }

// One direction.
struct Way {
  alignas(ring::kLine) shared::KeptLock send_lock;
  alignas(ring::kLine) shared::KeptLock receive_lock;
  alignas(ring::kLine) HalfWord data_epoch;  // receivers, and who waits for something to receive, sleep here
  HalfWord no_sender;                        // by root: nobody holds the sending end any more
  alignas(ring::kLine) HalfWord room_epoch;  // a sender sleeps here
  HalfWord no_receiver;                      // by root: nobody holds the receiving end any more
  BlockStage sending;                        // under send_lock
  BlockStage receiving;                      // under receive_lock
};

struct PipeHeader {
  std::uint64_t magic;
  std::uint32_t version;
  std::uint32_t duplex;  // or only the second side sends
  std::uint64_t ring_capacity;
  std::uint64_t block_bytes;  // 0: no blocks
  std::uint64_t over_sockets;  // or rings
  Word ends[2];               // what the ends are called elsewhere; 0 is nothing yet
  Word blocks;                // the same of the blocks
  // Where who uses that side ran when last it looked, plus 1; 0 is unknown. Seldom written.
  alignas(ring::kLine) HalfWord cpus[2];
  Way ways[2];   // by the side that sends
};
static_assert(sizeof(PipeHeader) <= kPipeHeaderSize && offsetof(PipeHeader, ways) % ring::kLine == 0);

// In the tag of a record.
enum class Part : std::uint16_t { whole, first, more, block };  // block: a BlockReference
inline constexpr std::uint16_t kPartMask = 3;
inline constexpr unsigned kAttachedShift = 2;  // above: how many words at the frame's end are handles
inline constexpr std::size_t kAttachedMax = 0xFFFF >> kAttachedShift;

// A little more than the largest value: see value.h.
inline constexpr std::size_t kFrameMax = (std::size_t{1} << 32) + (std::size_t{1} << 17);

inline constexpr std::size_t kBlockBytesMax = std::size_t{1} << 46;

struct PipeShape {
  std::size_t ring_capacity = std::size_t{256} << 10;  // each way; a power of two
  bool duplex = true;
  std::size_t block_bytes = 0;
  bool over_sockets = false;  // then no blocks
};
[[nodiscard]] std::size_t memory_size(const PipeShape& shape);
// All but the area of the blocks: that must have memory from the start.
[[nodiscard]] std::size_t control_size(const PipeShape& shape);
// Makes a new pipe of zeroed memory of either size.
void format(std::span<std::byte> memory, const PipeShape& shape);

// A pipe, its constants checked. Throws ProtocolError if it is none. All of the memory may be given or just the header.
[[nodiscard]] PipeHeader& header_of(std::span<std::byte> memory);
[[nodiscard]] PipeShape shape_of(std::span<std::byte> memory);
// Throw ProtocolError if it is not of the size that its constants say. Empty if that side does not send, or over a socket.
[[nodiscard]] std::span<std::byte> ring_of(std::span<std::byte> memory, Side sender);
// At least control_size() of the memory. Null if no blocks go over this pipe.
[[nodiscard]] BlockTable* block_table(std::span<std::byte> memory);
[[nodiscard]] std::span<std::byte> block_area(std::span<std::byte> memory);

}  // namespace troupe::pipe
