#include "ring/ring_reader.h"

#include <troupe/errors.h>

namespace troupe::ring {

RingReader::RingReader(std::span<std::byte> memory)
    : ring_(memory),
      mask_(ring_.capacity - 1),
      head_(ring_.header->head.load(std::memory_order_acquire)),
      tail_seen_(head_),
      next_(head_) {
  if (!is_position(head_)) throw ProtocolError("a ring's head does not lie on a frame");
}

bool RingReader::look_for_frames() {
  if (poisoned_) throw ProtocolError(poisoned_);
  const std::uint64_t tail = ring_.header->tail.load(std::memory_order_acquire);
  if (tail == tail_seen_) return false;
  if (!may_be_tail(tail)) fail("the ring's writer moved its index to where no frame ends");
  tail_seen_ = tail;
  return true;
}

const Frame* RingReader::peek_unusual(std::uint64_t word) {
  const std::uint64_t to_end = ring_.capacity - (head_ & mask_);
  const bool fills_end = record_length(record_size(word)) == to_end && to_end <= tail_seen_ - head_;
  // A pad is only ever published together with the frame that did not fit before the end.
  if (record_kind(word) != RecordKind::pad || !fills_end || tail_seen_ - head_ == to_end)
    fail("the ring holds a malformed record");
  head_ += to_end;
  next_ = head_;
  const std::uint64_t first = read_word();
  const std::uint64_t length = record_length(record_size(first));
  if (record_kind(first) != RecordKind::frame || length > contiguous()) fail("the ring holds a malformed record");
  return show(first, length);
}

void RingReader::poison(const char* why) {
  poisoned_ = why;
  next_ = tail_seen_ = head_;  // empty for ever, so every peek ends in look_for_frames()
}

void RingReader::fail(const char* why) {
  poison(why);
  throw ProtocolError(why);
}

}  // namespace troupe::ring
