#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace troupe::ring {

// The bytes that the two ends of a ring share.
//
//        0  magic, version, capacity     written once by format_ring()
//      128  tail                         the writer's: bytes published so far
//      256  head                         the reader's: bytes done with
//      384  reader_asleep, reader_cpu    the reader's, seldom written
//      512  room_wanted                  the writer's, seldom written
//      640  frames, `capacity` bytes of them
//
// Each in lines of its own (two, because CPUs fetch lines in pairs), so that what one side writes all the time does not take
// away from the other what it reads all the time.
//
// Positions are counts of bytes since the beginning, never wrapped, multiples of 8; `position & (capacity - 1)` is the place.
// The records between head and tail follow each other without gaps:
//
//      | size: 32 bits | tag: 16 bits | kind: 16 bits | size bytes | up to 7 bytes, so that the next is aligned |
//
// A record never crosses the end of the ring: one of kind pad fills what is left there.
inline constexpr std::uint64_t kRingMagic = 0x676e697265707254;  // "Trpering"
inline constexpr std::uint32_t kRingVersion = 1;
inline constexpr std::size_t kLine = 128;

struct RingHeader {
  std::uint64_t magic;
  std::uint32_t version;
  std::uint32_t reserved;
  std::uint64_t capacity;
  alignas(kLine) std::atomic<std::uint64_t> tail;
  alignas(kLine) std::atomic<std::uint64_t> head;
  alignas(kLine) std::atomic<std::uint32_t> reader_asleep;  // 1: ring its doorbell after publishing
  std::atomic<std::uint32_t> reader_cpu;                    // where it last ran, plus 1; 0 is unknown
  alignas(kLine) std::atomic<std::uint64_t> room_wanted;    // ring the writer's doorbell once head has come here; 0 is never
};

static_assert(sizeof(RingHeader) == 5 * kLine && offsetof(RingHeader, capacity) == 16);
static_assert(offsetof(RingHeader, tail) == kLine && offsetof(RingHeader, head) == 2 * kLine);
static_assert(offsetof(RingHeader, reader_asleep) == 3 * kLine && offsetof(RingHeader, room_wanted) == 4 * kLine);
static_assert(std::atomic<std::uint64_t>::is_always_lock_free && std::endian::native == std::endian::little);

enum class RecordKind : std::uint16_t { frame = 0x4652, pad = 0x5044 };

inline constexpr std::size_t kRecordHeader = 8;
inline constexpr std::size_t kCapacityMin = 64;
inline constexpr std::size_t kCapacityMax = std::size_t{1} << 30;  // far below what a record's 32 bits can count

constexpr std::uint64_t record_word(std::uint64_t size, std::uint16_t tag, RecordKind kind) {
  return size | std::uint64_t{tag} << 32 | std::uint64_t{static_cast<std::uint16_t>(kind)} << 48;
}
constexpr std::uint32_t record_size(std::uint64_t word) { return static_cast<std::uint32_t>(word); }
constexpr std::uint16_t record_tag(std::uint64_t word) { return static_cast<std::uint16_t>(word >> 32); }
constexpr RecordKind record_kind(std::uint64_t word) { return static_cast<RecordKind>(word >> 48); }

// Bytes of the ring that a frame of `size` bytes takes.
constexpr std::uint64_t record_length(std::uint64_t size) { return (kRecordHeader + size + 7) & ~std::uint64_t{7}; }

constexpr bool is_capacity(std::size_t capacity) {
  return std::has_single_bit(capacity) && capacity >= kCapacityMin && capacity <= kCapacityMax;
}
// Where an index may begin: whoever counts on from here never wraps.
constexpr bool is_position(std::uint64_t position) { return position % 8 == 0 && position < std::uint64_t{1} << 62; }

// Memory that a ring of `capacity` bytes needs, aligned to kLine.
constexpr std::size_t ring_memory_size(std::size_t capacity) { return sizeof(RingHeader) + capacity; }

}  // namespace troupe::ring
