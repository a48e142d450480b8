#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "queue/held.h"
#include "queue/queue_memory.h"
#include "queue/segments.h"

namespace troupe::queue {

// The reading end of the log. All under the get lock, except may_have_items().
//
//     auto cursor = reader.begin();
//     LogReader::Record record;
//     while (reader.peek(cursor, record)) { copy(record.bytes); reader.pass(cursor, record); }
//     reader.commit(cursor);
//
// commit() takes everything in one store of the head. Before it, a killed reader has taken nothing; after it, it leaves at most
// counters that finish() sets right, and a segment that the next to pass the end of one gives back.
//
// Threads: whoever holds the get lock.
class LogReader {
 public:
  struct Cursor {
    std::uint64_t head, count, bytes;
  };
  struct Record {
    std::uint64_t start = 0;
    std::uint64_t end = 0;
    std::span<const std::byte> bytes;  // of a small item; other users could still write to them
    LargeItem large{};                 // if large.block is not 0
    [[nodiscard]] std::uint64_t size() const { return large.block != 0 ? large.size : bytes.size(); }
  };

  LogReader(const QueueMemory& memory, Segments& segments) : memory_(memory), segments_(segments) {}

  [[nodiscard]] Cursor begin() const {
    const Head& head = memory_.control().head;
    return {head.head.load(std::memory_order_relaxed), head.count.load(std::memory_order_relaxed), head.bytes.load(std::memory_order_relaxed)};
  }

  // The record at the cursor; false at the end of the log. Throws ProtocolError if that is not a log.
  [[nodiscard]] bool peek(const Cursor& cursor, Record& record);

  static void pass(Cursor& cursor, const Record& record) {
    cursor = {record.end, cursor.count + 1, cursor.bytes + record.size()};
  }

  void commit(const Cursor& cursor);
  // The same for a large item that was read before it; frees its block.
  void commit_freeing(const Cursor& cursor, std::uint64_t block);
  // The same for items that nobody gets, because newer ones need their room. With `block`, one of them is large, and lay there.
  void commit_dropped(const Cursor& cursor, std::uint64_t block);

  // Gives back the segments that were read; one killed in commit() leaves that to the next who needs it.
  bool give_back_segments(Clock::time_point deadline);
  // And all free ones; also the last, if nothing will be put any more. False if some but the last are in use, or the deadline passed.
  bool give_back_spare(Clock::time_point deadline);

  [[nodiscard]] static bool may_have_items(const QueueMemory& memory);

  // For root, which took the lock from a dead user: finishes the commit that it was killed in.
  static void finish(const QueueMemory& memory);

 private:
  [[nodiscard]] bool refresh(std::uint64_t head);
  void store(const Cursor& cursor);
  void free_staged();

  const QueueMemory& memory_;
  Segments& segments_;
};

// Each item passes through these.

[[gnu::always_inline]] inline bool LogReader::peek(const Cursor& cursor, Record& record) {
  GetSide& get = memory_.control().get;
  const std::uint64_t segment = memory_.geometry.segment_bytes;
  std::uint64_t head = cursor.head;
  std::uint64_t tail = get.tail_seen.load(std::memory_order_relaxed);
  if (head == tail || !memory_.is_log(head, tail)) [[unlikely]] {
    if (!refresh(head)) return false;
    tail = get.tail_seen.load(std::memory_order_relaxed);
    if (!memory_.is_log(head, tail)) QueueMemory::throw_corrupt("the tail as last seen");
  }
  for (;;) {
    std::byte* place = memory_.at(head);
    const std::uint64_t word = std::atomic_ref(*reinterpret_cast<std::uint64_t*>(place)).load(std::memory_order_relaxed);
    const std::uint64_t size = record_size(word);
    const std::uint64_t length = record_length(size);
    if (length > segment - (head & (segment - 1)) || length > tail - head) QueueMemory::throw_corrupt("a record that is too long");
    switch (record_kind(word)) {
      case RecordKind::item:
        if (size > memory_.geometry.small_max) QueueMemory::throw_corrupt("a record that is too long");
        record = {head, head + length, {place + kRecordHeader, size}, {}};
        return true;
      case RecordKind::large:
        if (size != sizeof(LargeItem)) QueueMemory::throw_corrupt("a large item's record");
        record = {head, head + length, {}, {}};
        std::memcpy(&record.large, place + kRecordHeader, sizeof(LargeItem));
        if (record.large.block == 0 || record.large.size > memory_.geometry.item_max) QueueMemory::throw_corrupt("a large item's record");
        return true;
      case RecordKind::pad: break;
    }
    // A pad fills its segment, and the record for which it was made follows it.
    if (record_kind(word) != RecordKind::pad || ((head + length) & (segment - 1)) != 0 || length >= tail - head) {
      QueueMemory::throw_corrupt("a record of no known kind");
    }
    head += length;
  }
}

// What else is staged is staged before.
inline void LogReader::store(const Cursor& cursor) {
  GetSide& get = memory_.control().get;
  Head& head = memory_.control().head;
  get.stage_head.store(cursor.head, std::memory_order_release);
  get.stage_count.store(cursor.count, std::memory_order_release);
  get.stage_bytes.store(cursor.bytes, std::memory_order_release);
  head.head.store(cursor.head, std::memory_order_release);
  head.count.store(cursor.count, std::memory_order_release);
  head.bytes.store(cursor.bytes, std::memory_order_release);
}

inline void LogReader::commit(const Cursor& cursor) {
  const std::uint64_t before = memory_.control().head.head.load(std::memory_order_relaxed);
  store(cursor);
  if ((before ^ cursor.head) >> memory_.constants.segment_shift != 0) [[unlikely]] give_back_segments(Clock::time_point::min());
}

}  // namespace troupe::queue
