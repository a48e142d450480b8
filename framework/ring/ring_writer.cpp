#include "ring/ring_writer.h"

#include <algorithm>
#include <stdexcept>
#include <string>

#include <troupe/errors.h>

#include "base/check.h"

namespace troupe::ring {

RingWriter::RingWriter(std::span<std::byte> memory)
    : ring_(memory),
      mask_(ring_.capacity - 1),
      frame_size_max_(ring_.capacity / 2 - kRecordHeader),
      tail_(ring_.header->tail.load(std::memory_order_acquire)),
      room_end_(tail_),
      published_(tail_),
      end_wanted_(tail_),
      claim_(tail_) {
  const std::uint64_t head = ring_.header->head.load(std::memory_order_acquire);
  if (!is_position(tail_) || !is_position(head) || tail_ - head > ring_.capacity) {
    throw ProtocolError("a ring's indices do not fit each other");
  }
  room_end_ = head + ring_.capacity;
}

bool RingWriter::look_for_room(std::uint64_t end) {
  if (poisoned_) throw ProtocolError("the ring's reader broke the rules");
  publish();  // else the reader would wait for us and we for it
  end_wanted_ = end;
  const std::uint64_t head = ring_.header->head.load(std::memory_order_acquire);
  const std::uint64_t head_seen = room_end_ - ring_.capacity;
  if (head % 8 != 0 || head - head_seen > published_ - head_seen) {
    poisoned_ = true;
    room_end_ = tail_;  // full for ever, so every claim ends here
    throw ProtocolError("the ring's reader moved its index to where no frame ends");
  }
  room_end_ = head + ring_.capacity;
  return end <= room_end_;
}

namespace {

// Never 0: nobody waits.
std::uint64_t behind(std::uint64_t end, std::uint64_t by) { return end > by ? end - by : 1; }

}  // namespace

std::uint64_t RingWriter::room_wanted() const { return std::max(behind(tail_, ring_.capacity / 2), room_needed()); }
std::uint64_t RingWriter::room_needed() const { return behind(end_wanted_, ring_.capacity); }

bool RingWriter::room_came(std::uint64_t wanted) const { return ring_.header->head.load(std::memory_order_acquire) >= wanted; }

void RingWriter::throw_too_large(std::size_t size) const {
  throw std::length_error("a frame of " + std::to_string(size) + " bytes does not fit in a ring that takes " +
                          std::to_string(frame_size_max_));
}

void RingWriter::commit_without_claim() {
  TROUPE_CHECK(false, "commit() takes at most what claim() gave, once");
  __builtin_unreachable();
}

}  // namespace troupe::ring
