#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "shared/kept_lock.h"
#include "shared/owner_lock.h"

namespace troupe::queue {

// The bytes that all users of a queue share: one sparse memfd of fixed size, its beginning mapped by everybody.
//
//        0  Constants      written once
//      128  PutSide        of whoever holds the put lock
//      256  Tail           what producers tell consumers
//      384  GetSide        of whoever holds the get lock
//      512  Head           what consumers tell producers
//      640  Wait items     consumers sleep here
//      768  Wait room, idle, blocks   producers sleep here, joiners, and producers of large items; where users run
//      896  SegmentHeap    of whoever holds the segment lock
//     1024  LeaseHeap
//     1152  OrderHeap      of a queue with another order than first in, first out
//     1280  BlockClass     one for each size of block
//           table          logical segment -> physical segment
//           hot, cold      physical segments that nobody uses: ready for use; given back to the kernel
//           lease entries  one line each
//           lease data     a small item each
//           order          entries in the order in which they come out
//           block states   a word each, class by class
//           segments       the log
//           blocks         the large items; not mapped, but read and written through the descriptor
//
// The log is one endless line of records, cut into segments. Positions are counts of bytes since the beginning, never wrapped,
// multiples of 8; `position >> segment_shift` is the logical segment. Records from head to tail follow each other without gaps:
//
//      | size: 32 bits | kind: 32 bits | size bytes | up to 7 bytes, so that the next is aligned |
//
// A record never crosses the end of its segment: one of kind pad fills what is left there. A large item lies in a block, and its
// record is a LargeItem.
//
// With another order, the log stays empty: all items lie in lease entries, from put to the end, and `order` says which is next.
//
// What makes this survive kill -9 at any instruction: see log_writer.h, log_reader.h, segments.h, blocks.h, leases.h,
// ordered_items.h and recover.h.
inline constexpr std::uint64_t kQueueMagic = 0x6575657571707254;  // "Trpqueue"
inline constexpr std::uint32_t kQueueVersion = 5;
inline constexpr std::size_t kLine = 128;  // two cache lines, because CPUs fetch them in pairs

using Word = std::atomic<std::uint64_t>;
using HalfWord = std::atomic<std::uint32_t>;
static_assert(Word::is_always_lock_free && HalfWord::is_always_lock_free && std::endian::native == std::endian::little);

// What to do with an item for which there is no room.
enum class Overflow : std::uint32_t { block, fail, drop_newest, drop_oldest };

// What comes out first: the item that was put first; the one put last; the one whose first eight bytes, as an unsigned number, are
// lowest, and of equal ones that put first.
enum class Order : std::uint32_t { fifo, lifo, priority };

struct Constants {
  std::uint64_t magic;
  std::uint32_t version;
  Overflow overflow;
  std::uint64_t items_max;       // waiting in the log; 0: no such limit
  std::uint64_t bytes_max;       // the same for their sizes
  std::uint32_t users_max;
  std::uint32_t deliveries_max;  // of a leased item, then it is a dead letter; 0: no limit
  std::uint32_t leases_max;      // how many entries there are
  std::uint32_t segment_shift;
  std::uint32_t segments_max;    // a power of two
  std::uint32_t segments_kept;   // so many free ones keep their memory
  std::uint32_t block_shift;     // of the smallest blocks; each class is twice the size of the one before
  std::uint32_t block_classes;
  std::uint64_t blocks_bytes;    // each class has so many bytes of blocks; a multiple of its largest
  std::uint32_t blocks_kept;     // the first so many of a class keep their memory, if they are of at most kBlockKeptMax
  std::uint32_t dead_max;        // dead letters; the oldest give way to newer ones
  Order order;
  std::uint32_t ticket_end;      // in each item; 0: items have no tickets
  std::int64_t idle;             // nanoseconds that a consumer waits in vain before it gives back what is spare
};

// The stage words say what a commit will do, before it does it. Whoever finishes the work of a dead user compares the first of
// them with the committed position, so it is stored before the others.
struct alignas(kLine) PutSide {
  shared::KeptLock lock;
  HalfWord closed;
  Word stage_tail;
  Word stage_count;
  Word stage_bytes;
  Word stage_block;      // the block that becomes a queued one with this commit
  Word stage_entry;      // with another order: the entry that holds it then
  Word taken_seen;       // Head as it was when we last seemed full
  Word taken_bytes_seen;
  Word dropped;          // newest, for which there was no room
};

struct alignas(kLine) Tail {
  Word tail;   // the store that commits
  Word count;  // items ever put
  Word bytes;
};

struct alignas(kLine) GetSide {
  shared::KeptLock lock;
  HalfWord reserved;
  Word stage_head;
  Word stage_count;
  Word stage_bytes;
  Word stage_dropped;
  Word stage_block;  // the block that is free after this commit; 0 but for one that has no entry
  Word tail_seen;    // Tail as it was when we last seemed empty
};

struct alignas(kLine) Head {
  Word head;     // the store that commits
  Word count;    // items ever taken from the log
  Word bytes;
  Word dropped;  // oldest, to make room for newer ones; they count as taken, too
};

struct Wait {
  HalfWord want;   // somebody may sleep
  HalfWord epoch;  // what they sleep on; it changes with each signal
};

struct alignas(kLine) ItemsWait : Wait {};
struct alignas(kLine) RoomWait {
  Wait room;
  Wait idle;    // until all items are taken and all leases are over
  Wait blocks;  // until one of some size is free
  // Where who puts, and who gets, ran when last it looked, plus 1; 0 is unknown. Seldom written.
  HalfWord put_cpu;
  HalfWord get_cpu;
};

// Values, not changes: carrying out a plan twice is the same as once.
struct SegmentPlan {
  enum class Target : std::uint64_t { none, table, hot, cold };
  Word active;  // 1 while the rest is to be carried out
  Word target;
  Word index;
  Word value;
  Word ready, freed, hot, cold, grown;
};

struct alignas(kLine) SegmentHeap {
  shared::OwnerLock lock;
  HalfWord reserved;
  Word ready;  // logical segments before this one have memory
  Word freed;  // logical segments before this one have given it back
  Word hot;    // how many lie in `hot`
  Word cold;
  Word grown;  // physical segments used so far; the others never were
  SegmentPlan plan;
};

struct alignas(kLine) LeaseHeap {
  HalfWord look;  // 0: no entry is in state returned; with another order, all that follows from the states is up to date
  HalfWord used;    // entries from here on were never used
  HalfWord filled;  // under the get lock: entries from here on have no memory for small items
  HalfWord spare;   // 0: there is no memory to be given back, of these or of anything else: see SharedQueue::give_back_spare()
  Word redelivered;
  Word quarantined;
  Word dropped;   // dead letters, for which there was no room
};

// Under the put lock, which guards both ends here. All of it follows from the entries: see ordered_items.h.
struct alignas(kLine) OrderHeap {
  HalfWord waiting;    // order[0, waiting): a heap of entries, the first is next
  HalfWord listed;     // order[waiting, listed): free entries
  HalfWord allocated;  // entries that have memory
  HalfWord live;       // items that wait or are leased
  HalfWord freed;      // entries, since all was put in order the last time
  HalfWord move_from;  // the item that moved last: see OrderedItems::move()
  HalfWord move_to;
  Word bytes;          // waiting
};

struct BlockClass {
  HalfWord hint;  // where one may be free
  HalfWord used;  // from here on they were never used
};
inline constexpr std::size_t kBlockClassesMax = 32;

// A leased item: a copy of it in lease data, or its block.
struct alignas(64) LeaseEntry {
  Word state;  // see leases.h
  Word position;
  Word size;
  Word block;     // 0: small
  Word priority;  // with another order: lower ones come out first, of equal ones those with the lower position
};

struct ControlArea {
  alignas(kLine) Constants constants;
  PutSide put;
  Tail tail;
  GetSide get;
  Head head;
  ItemsWait items;
  RoomWait room;
  SegmentHeap segments;
  LeaseHeap leases;
  OrderHeap order;
  alignas(kLine) BlockClass blocks[kBlockClassesMax];
};

static_assert(sizeof(Constants) <= kLine && sizeof(PutSide) == kLine && sizeof(GetSide) == kLine);
static_assert(offsetof(ControlArea, put) == 1 * kLine && offsetof(ControlArea, tail) == 2 * kLine);
static_assert(offsetof(ControlArea, get) == 3 * kLine && offsetof(ControlArea, head) == 4 * kLine);
static_assert(offsetof(ControlArea, items) == 5 * kLine && offsetof(ControlArea, room) == 6 * kLine);
static_assert(offsetof(ControlArea, segments) == 7 * kLine && sizeof(SegmentHeap) == 128);
static_assert(offsetof(ControlArea, leases) == 8 * kLine && offsetof(ControlArea, order) == 9 * kLine);
static_assert(sizeof(OrderHeap) == kLine && offsetof(ControlArea, blocks) == 10 * kLine);

enum class RecordKind : std::uint32_t { item = 0x6d657449, large = 0x67726c49, pad = 0x20646150 };

inline constexpr std::uint64_t kRecordHeader = 8;
constexpr std::uint64_t record_word(std::uint64_t size, RecordKind kind) {
  return size | std::uint64_t{static_cast<std::uint32_t>(kind)} << 32;
}
constexpr std::uint32_t record_size(std::uint64_t word) { return static_cast<std::uint32_t>(word); }
constexpr RecordKind record_kind(std::uint64_t word) { return static_cast<RecordKind>(word >> 32); }
// Bytes of the log that an item of `size` bytes takes.
constexpr std::uint64_t record_length(std::uint64_t size) { return (kRecordHeader + size + 7) & ~std::uint64_t{7}; }

// What the record of a large item holds.
struct LargeItem {
  std::uint64_t block;  // BlockId
  std::uint64_t size;
};

}  // namespace troupe::queue
