#include "queue/log_writer.h"

#include <cstring>

#include "queue/blocks.h"

namespace troupe::queue {
namespace {

void write_word(std::byte* place, std::uint64_t word) {
  std::atomic_ref(*reinterpret_cast<std::uint64_t*>(place)).store(word, std::memory_order_relaxed);
}

}  // namespace

bool LogWriter::append(Batch& batch, std::span<const std::byte> bytes, Clock::time_point deadline) {
  if (!has_room(batch, bytes.size())) return false;
  std::uint64_t start = batch.tail;
  const std::uint64_t length = record_length(bytes.size());
  std::byte* record = place(start, length, deadline);
  if (!record) return false;
  write_word(record, record_word(bytes.size(), RecordKind::item));
  if (!bytes.empty()) std::memcpy(record + kRecordHeader, bytes.data(), bytes.size());
  batch = {start + length, batch.count + 1, batch.bytes + bytes.size()};
  return true;
}

bool LogWriter::append(Batch& batch, const LargeItem& item, Clock::time_point deadline) {
  if (!has_room(batch, item.size)) return false;
  std::uint64_t start = batch.tail;
  const std::uint64_t length = record_length(sizeof item);
  std::byte* record = place(start, length, deadline);
  if (!record) return false;
  write_word(record, record_word(sizeof item, RecordKind::large));
  std::memcpy(record + kRecordHeader, &item, sizeof item);
  batch = {start + length, batch.count + 1, batch.bytes + item.size};
  return true;
}

// What consumers have taken is looked up only when we seem full, lest their cache line travels with every item.
bool LogWriter::has_room(const Batch& batch, std::uint64_t size) {
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

bool LogWriter::may_have_room(const QueueMemory& memory) {
  const Constants& c = memory.constants;
  const ControlArea& control = memory.control();
  const std::uint64_t taken = control.head.count.load(std::memory_order_acquire);
  const std::uint64_t taken_bytes = control.head.bytes.load(std::memory_order_acquire);
  return (c.items_max == 0 || control.tail.count.load(std::memory_order_acquire) - taken < c.items_max) &&
         (c.bytes_max == 0 || control.tail.bytes.load(std::memory_order_acquire) - taken_bytes < c.bytes_max);
}

// Memory for a record of `length` bytes at `start` or, if it would cross the end of the segment, at the beginning of the next.
std::byte* LogWriter::place(std::uint64_t& start, std::uint64_t length, Clock::time_point deadline) {
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

bool LogWriter::ensure_segment(std::uint64_t position, Clock::time_point deadline) {
  const std::uint64_t logical = position >> memory_.constants.segment_shift;
  const Word& ready = memory_.control().segments.ready;
  const std::uint64_t now = ready.load(std::memory_order_acquire);
  if (now > logical && now - logical <= memory_.constants.segments_max) return true;  // from a batch that was never committed
  if (now != logical) QueueMemory::throw_corrupt("the count of segments");
  return segments_.extend(deadline);
}

void LogWriter::commit(const Batch& batch, std::uint64_t block) {
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

void LogWriter::finish(const QueueMemory& memory) {
  PutSide& put = memory.control().put;
  Tail& tail = memory.control().tail;
  if (tail.tail.load(std::memory_order_acquire) != put.stage_tail.load(std::memory_order_acquire)) return;
  tail.count.store(put.stage_count.load(std::memory_order_relaxed), std::memory_order_release);
  tail.bytes.store(put.stage_bytes.load(std::memory_order_relaxed), std::memory_order_release);
  Blocks::mark_queued(memory, put.stage_block.load(std::memory_order_relaxed));
}

}  // namespace troupe::queue
