#include "queue/log_reader.h"

#include <cstring>

#include "queue/blocks.h"
#include "queue/waiting.h"

namespace troupe::queue {

// Reads how far producers are, into GetSide. False if that is not past `head`.
bool LogReader::refresh(std::uint64_t head) {
  const std::uint64_t tail = memory_.control().tail.tail.load(std::memory_order_acquire);
  if (!memory_.is_log(head, tail)) QueueMemory::throw_corrupt("head and tail");
  memory_.control().get.tail_seen.store(tail, std::memory_order_relaxed);
  return tail != head;
}

void LogReader::commit_freeing(const Cursor& cursor, std::uint64_t block) {
  GetSide& get = memory_.control().get;
  get.stage_head.store(cursor.head, std::memory_order_release);
  get.stage_block.store(block, std::memory_order_release);
  commit(cursor);
  free_staged();
}

// Whoever is killed here has it freed by finish().
void LogReader::free_staged() {
  Word& block = memory_.control().get.stage_block;
  Blocks::free(memory_, block.load(std::memory_order_relaxed));
  block.store(0, std::memory_order_release);
}

// The number of dropped items is staged like the others; where nothing is dropped it stays what it is.
void LogReader::commit_dropped(const Cursor& cursor, std::uint64_t block) {
  Head& head = memory_.control().head;
  const std::uint64_t dropped = head.dropped.load(std::memory_order_relaxed) + cursor.count - head.count.load(std::memory_order_relaxed);
  const std::uint64_t before = head.head.load(std::memory_order_relaxed);
  memory_.control().get.stage_head.store(cursor.head, std::memory_order_release);
  memory_.control().get.stage_dropped.store(dropped, std::memory_order_release);
  memory_.control().get.stage_block.store(block, std::memory_order_release);
  store(cursor);
  head.dropped.store(dropped, std::memory_order_release);
  free_staged();
  if ((before ^ cursor.head) >> memory_.constants.segment_shift != 0) give_back_segments(kNow);
}

bool LogReader::give_back_segments(Clock::time_point deadline) {
  const std::uint64_t head = memory_.control().head.head.load(std::memory_order_relaxed);
  return segments_.give_back(head >> memory_.constants.segment_shift, deadline);
}

// Who puts looks under its lock whether the queue is closed: afterwards nobody writes to the log.
bool LogReader::give_back_spare(Clock::time_point deadline) {
  const ControlArea& control = memory_.control();
  const std::uint64_t head = control.head.head.load(std::memory_order_relaxed);
  const bool is_over = control.put.closed.load(std::memory_order_acquire) != 0 && control.tail.tail.load(std::memory_order_acquire) == head;
  return segments_.give_back_spare(is_over ? ~std::uint64_t{0} : head >> memory_.constants.segment_shift, deadline);
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
    get.stage_block.store(0, std::memory_order_relaxed);
    return;
  }
  head.count.store(get.stage_count.load(std::memory_order_relaxed), std::memory_order_release);
  head.bytes.store(get.stage_bytes.load(std::memory_order_relaxed), std::memory_order_release);
  head.dropped.store(get.stage_dropped.load(std::memory_order_relaxed), std::memory_order_release);
  Blocks::free(memory, get.stage_block.load(std::memory_order_relaxed));  // nothing if that was done
  get.stage_block.store(0, std::memory_order_relaxed);
}

}  // namespace troupe::queue
