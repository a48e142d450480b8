#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include <troupe/duration.h>

#include "shared/copy.h"
#include "queue/held.h"
#include "queue/queue_memory.h"
#include "queue/segments.h"

namespace troupe::queue {

// The writing end of the log. All under the put lock, except may_have_room().
//
//     auto batch = writer.begin();
//     while (writer.append(batch, bytes, deadline)) …
//     writer.commit(batch);
//
// commit() shows everything to the readers in one store of the tail. Before it, a killed writer leaves nothing that counts; after
// it, at most counters that finish() sets right from the stage words.
//
// Threads: whoever holds the put lock.
class LogWriter {
 public:
  struct Batch {
    std::uint64_t tail, count, bytes;
  };

  LogWriter(const QueueMemory& memory, Segments& segments) : memory_(memory), segments_(segments) {}

  [[nodiscard]] Batch begin() const {
    const Tail& tail = memory_.control().tail;
    return {tail.tail.load(std::memory_order_relaxed), tail.count.load(std::memory_order_relaxed), tail.bytes.load(std::memory_order_relaxed)};
  }

  // Adds an item to the batch; false if there is no room for it: too many items or bytes, or no memory for the log.
  [[nodiscard]] bool append(Batch& batch, std::span<const std::byte> bytes, Clock::time_point deadline);
  [[nodiscard]] bool append(Batch& batch, const LargeItem& item, Clock::time_point deadline);

  // `block` is that of the large item in the batch, if there is one: only one, and as its last.
  void commit(const Batch& batch, std::uint64_t block = 0);

  // As it seems without the lock: an item could be put, as far as numbers go.
  [[nodiscard]] static bool may_have_room(const QueueMemory& memory);

  // For root, which took the lock from a dead user: finishes the commit that it was killed in.
  static void finish(const QueueMemory& memory);

 private:
  static void write_word(std::byte* place, std::uint64_t word) {
    std::atomic_ref(*reinterpret_cast<std::uint64_t*>(place)).store(word, std::memory_order_relaxed);
  }
  [[nodiscard]] bool has_room(const Batch& batch, std::uint64_t size);
  [[nodiscard]] std::byte* place(std::uint64_t& start, std::uint64_t length, Clock::time_point deadline);
  [[nodiscard]] bool ensure_segment(std::uint64_t position, Clock::time_point deadline);

  const QueueMemory& memory_;
  Segments& segments_;
};

// Each item passes through these.

[[gnu::always_inline]] inline bool LogWriter::append(Batch& batch, std::span<const std::byte> bytes, Clock::time_point deadline) {
  if (!has_room(batch, bytes.size())) return false;
  std::uint64_t start = batch.tail;
  const std::uint64_t length = record_length(bytes.size());
  std::byte* record = place(start, length, deadline);
  if (!record) return false;
  write_word(record, record_word(bytes.size(), RecordKind::item));
  shared::copy_small(record + kRecordHeader, bytes.data(), bytes.size());
  batch = {start + length, batch.count + 1, batch.bytes + bytes.size()};
  return true;
}

// What consumers have taken is looked up only when we seem full, lest their cache line travels with every item.
[[gnu::always_inline]] inline bool LogWriter::has_room(const Batch& batch, std::uint64_t size) {
  PutSide& put = memory_.control().put;
  const Head& head = memory_.control().head;
  const Constants& c = memory_.constants;
  if (c.items_max != 0 && batch.count - put.taken_seen.load(std::memory_order_relaxed) >= c.items_max) {
    const std::uint64_t taken = head.count.load(std::memory_order_acquire);
    put.taken_seen.store(taken, std::memory_order_relaxed);
    if (batch.count - taken >= c.items_max) return false;
  }
  if (c.bytes_max != 0 && batch.bytes + size - put.taken_bytes_seen.load(std::memory_order_relaxed) > c.bytes_max) {
    const std::uint64_t taken = head.bytes.load(std::memory_order_acquire);
    put.taken_bytes_seen.store(taken, std::memory_order_relaxed);
    if (batch.bytes + size - taken > c.bytes_max) return false;
  }
  return true;
}

// Memory for a record of `length` bytes at `start` or, if it would cross the end of the segment, at the beginning of the next.
[[gnu::always_inline]] inline std::byte* LogWriter::place(std::uint64_t& start, std::uint64_t length, Clock::time_point deadline) {
  const std::uint64_t segment = memory_.geometry.segment_bytes;
  const std::uint64_t offset = start & (segment - 1);
  if (start % 8 != 0) [[unlikely]] QueueMemory::throw_corrupt("the tail");
  if (offset == 0) {
    if (!ensure_segment(start, deadline)) return nullptr;
  } else if (offset + length > segment) {
    const std::uint64_t left = segment - offset;
    if (!ensure_segment(start + left, deadline)) return nullptr;
    write_word(memory_.at(start), record_word(left - kRecordHeader, RecordKind::pad));
    start += left;
  }
  return memory_.at(start);
}

inline void LogWriter::commit(const Batch& batch, std::uint64_t block) {
  PutSide& put = memory_.control().put;
  Tail& tail = memory_.control().tail;
  put.stage_tail.store(batch.tail, std::memory_order_release);
  put.stage_count.store(batch.count, std::memory_order_release);
  put.stage_bytes.store(batch.bytes, std::memory_order_release);
  if (block != 0) put.stage_block.store(block, std::memory_order_release);
  // The one store that commits; the acquire load in LogReader::refresh() pairs with it.
  tail.tail.store(batch.tail, std::memory_order_release);
  tail.count.store(batch.count, std::memory_order_release);
  tail.bytes.store(batch.bytes, std::memory_order_release);
}

}  // namespace troupe::queue
