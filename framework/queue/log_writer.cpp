#include "queue/log_writer.h"

#include <cstring>

#include "queue/blocks.h"

namespace troupe::queue {
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

bool LogWriter::may_have_room(const QueueMemory& memory) {
  const Constants& c = memory.constants;
  const ControlArea& control = memory.control();
  const std::uint64_t taken = control.head.count.load(std::memory_order_acquire);
  const std::uint64_t taken_bytes = control.head.bytes.load(std::memory_order_acquire);
  return (c.items_max == 0 || control.tail.count.load(std::memory_order_acquire) - taken < c.items_max) &&
         (c.bytes_max == 0 || control.tail.bytes.load(std::memory_order_acquire) - taken_bytes < c.bytes_max);
}

bool LogWriter::ensure_segment(std::uint64_t position, Clock::time_point deadline) {
  const std::uint64_t logical = position >> memory_.constants.segment_shift;
  const Word& ready = memory_.control().segments.ready;
  const std::uint64_t now = ready.load(std::memory_order_acquire);
  if (now > logical && now - logical <= memory_.constants.segments_max) return true;  // from a batch that was never committed
  if (now != logical) QueueMemory::throw_corrupt("the count of segments");
  return segments_.extend(deadline);
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
