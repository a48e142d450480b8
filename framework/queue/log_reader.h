#pragma once

#include <cstddef>
#include <cstdint>
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
  // The same for items that nobody gets, because newer ones need their room.
  void commit_dropped(const Cursor& cursor);

  // Gives back the segments that were read; one killed in commit() leaves that to the next who needs it.
  bool give_back_segments(Clock::time_point deadline);

  [[nodiscard]] static bool may_have_items(const QueueMemory& memory);

  // For root, which took the lock from a dead user: finishes the commit that it was killed in.
  static void finish(const QueueMemory& memory);

 private:
  [[nodiscard]] bool refresh(std::uint64_t head);
  void store(const Cursor& cursor);

  const QueueMemory& memory_;
  Segments& segments_;
};

}  // namespace troupe::queue
