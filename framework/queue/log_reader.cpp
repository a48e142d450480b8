#include "queue/log_reader.h"

#include <cstring>

#include "queue/waiting.h"

namespace troupe::queue {

// Reads how far producers are, into GetSide. False if that is not past `head`.
bool LogReader::refresh(std::uint64_t head) {
  const std::uint64_t tail = memory_.control().tail.tail.load(std::memory_order_acquire);
  if (!memory_.is_log(head, tail)) QueueMemory::throw_corrupt("head and tail");
  memory_.control().get.tail_seen.store(tail, std::memory_order_relaxed);
  return tail != head;
}

bool LogReader::peek(const Cursor& cursor, Record& record) {
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

void LogReader::store(const Cursor& cursor) {
  GetSide& get = memory_.control().get;
  Head& head = memory_.control().head;
  get.stage_head.store(cursor.head, std::memory_order_release);
  get.stage_count.store(cursor.count, std::memory_order_release);
  get.stage_bytes.store(cursor.bytes, std::memory_order_release);
  head.head.store(cursor.head, std::memory_order_release);
  head.count.store(cursor.count, std::memory_order_release);
  head.bytes.store(cursor.bytes, std::memory_order_release);
}

void LogReader::commit(const Cursor& cursor) {
  const std::uint64_t before = memory_.control().head.head.load(std::memory_order_relaxed);
  store(cursor);
  if ((before ^ cursor.head) >> memory_.constants.segment_shift != 0) [[unlikely]] give_back_segments(kNow);
}

// The number of dropped items is staged like the others; where nothing is dropped it stays what it is.
void LogReader::commit_dropped(const Cursor& cursor) {
  Head& head = memory_.control().head;
  const std::uint64_t dropped = head.dropped.load(std::memory_order_relaxed) + cursor.count - head.count.load(std::memory_order_relaxed);
  const std::uint64_t before = head.head.load(std::memory_order_relaxed);
  memory_.control().get.stage_head.store(cursor.head, std::memory_order_release);
  memory_.control().get.stage_dropped.store(dropped, std::memory_order_release);
  store(cursor);
  head.dropped.store(dropped, std::memory_order_release);
  if ((before ^ cursor.head) >> memory_.constants.segment_shift != 0) give_back_segments(kNow);
}

bool LogReader::give_back_segments(Clock::time_point deadline) {
  const std::uint64_t head = memory_.control().head.head.load(std::memory_order_relaxed);
  return segments_.give_back(head >> memory_.constants.segment_shift, deadline);
}

bool LogReader::may_have_items(const QueueMemory& memory) {
  const ControlArea& control = memory.control();
  // In this order: head may move on meanwhile, but not past what was put before we were asked to look.
  const std::uint64_t tail = control.tail.tail.load(std::memory_order_seq_cst);
  return control.head.head.load(std::memory_order_seq_cst) != tail || control.leases.look.load(std::memory_order_seq_cst) != 0;
}

void LogReader::finish(const QueueMemory& memory) {
  GetSide& get = memory.control().get;
  Head& head = memory.control().head;
  if (head.head.load(std::memory_order_acquire) != get.stage_head.load(std::memory_order_acquire)) {
    get.stage_dropped.store(head.dropped.load(std::memory_order_relaxed), std::memory_order_relaxed);  // only drops stage it anew
    return;
  }
  head.count.store(get.stage_count.load(std::memory_order_relaxed), std::memory_order_release);
  head.bytes.store(get.stage_bytes.load(std::memory_order_relaxed), std::memory_order_release);
  head.dropped.store(get.stage_dropped.load(std::memory_order_relaxed), std::memory_order_release);
}

}  // namespace troupe::queue
