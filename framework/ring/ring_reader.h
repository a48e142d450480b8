#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "ring/ring.h"

namespace troupe::ring {

struct Frame {
  const std::byte* data = nullptr;
  std::uint32_t size = 0;
  std::uint16_t tag = 0;

  [[nodiscard]] std::span<const std::byte> bytes() const { return {data, size}; }
};

// The reading end of a ring, see RingWriter.
//
//     while (const Frame* frame = reader.peek()) {
//       use(frame->bytes());
//       reader.release();
//     }
//
// The writer can still change the bytes of a frame after peek(): copy them before parsing; place and size were read once and
// hold. What the shared memory says is checked: a writer that breaks the rules poisons the reader, and peek() throws
// ProtocolError, now and ever after. A reader that dies has released a frame or has not.
//
// Threads: confined to one thread at a time; one reader per ring, ever.
class RingReader {
 public:
  // Joins the ring in `memory`, which must outlive the reader. Throws ProtocolError if it is not a ring.
  explicit RingReader(std::span<std::byte> memory);

  // The oldest frame not yet released, 8-byte aligned, or null. The same again until release().
  [[nodiscard]] const Frame* peek() {
    if (next_ != head_) return &frame_;
    if (head_ == tail_seen_ && !look_for_frames()) return nullptr;
    const std::uint64_t word = read_word();
    const std::uint64_t length = record_length(record_size(word));
    if (record_kind(word) != RecordKind::frame || length > contiguous()) [[unlikely]]
      return peek_unusual(word);
    return show(word, length);
  }

  // Done with the frame that peek() showed; its memory goes back to the writer.
  void release() {
    head_ = next_;
    // Pairs with the acquire load in RingWriter::look_for_room(): we have read the frame before the writer overwrites it.
    ring_.header->head.store(head_, std::memory_order_release);
  }

  // peek() and release() in a few instructions, but only for a frame of just that size and without a tag: else null, and nothing was done.
  [[nodiscard]] const std::byte* frame_here(std::size_t size) {
    if (head_ == tail_seen_ && !sees_frames()) return nullptr;
    if (read_word() != record_word(size, 0, RecordKind::frame) || record_length(size) > contiguous()) [[unlikely]] return nullptr;
    return ring_.frames + (head_ & mask_) + kRecordHeader;
  }
  void release_here(std::size_t size) {
    next_ = head_ + record_length(size);
    release();
  }

  // For users who find fault with the contents: from now on peek() throws ProtocolError with this message.
  void poison(const char* why);

  // peek() would show a frame, or throw.
  [[nodiscard]] bool has_more() const {
    return head_ != tail_seen_ || poisoned_ || ring_.header->tail.load(std::memory_order_acquire) != tail_seen_;
  }

  [[nodiscard]] RingHeader& header() const { return *ring_.header; }
  [[nodiscard]] std::uint64_t head() const { return head_; }
  // Where release() will move it.
  [[nodiscard]] std::uint64_t next_head() const { return next_; }

 private:
  [[nodiscard]] std::uint64_t read_word() const {
    auto* word = reinterpret_cast<std::uint64_t*>(ring_.frames + (head_ & mask_));
    return std::atomic_ref(*word).load(std::memory_order_relaxed);
  }
  // Bytes from head on that lie side by side and are published: no record may be longer.
  [[nodiscard]] std::uint64_t contiguous() const {
    const std::uint64_t to_end = ring_.capacity - (head_ & mask_);
    const std::uint64_t published = tail_seen_ - head_;
    return to_end < published ? to_end : published;
  }
  const Frame* show(std::uint64_t word, std::uint64_t length) {
    frame_ = {ring_.frames + (head_ & mask_) + kRecordHeader, record_size(word), record_tag(word)};
    next_ = head_ + length;
    return &frame_;
  }
  // Reads the writer's index; false if it has not moved.
  bool look_for_frames();
  // Nor if it broke the rules.
  bool sees_frames() {
    const std::uint64_t tail = ring_.header->tail.load(std::memory_order_acquire);
    if (tail == tail_seen_ || !may_be_tail(tail) || poisoned_) return false;
    tail_seen_ = tail;
    return true;
  }
  [[nodiscard]] bool may_be_tail(std::uint64_t tail) const { return tail % 8 == 0 && tail - head_ <= ring_.capacity; }
  // A pad, or a writer that breaks the rules.
  const Frame* peek_unusual(std::uint64_t word);
  [[noreturn]] void fail(const char* why);

  Ring ring_;
  std::uint64_t mask_;
  std::uint64_t head_;       // ours alone, so never read back from the header
  std::uint64_t tail_seen_;  // the writer may be further: looked up only when we seem empty
  std::uint64_t next_;       // where head goes at release(); not beside head_, or both go through one wide store and head_ comes back late
  Frame frame_;
  const char* poisoned_ = nullptr;
};

}  // namespace troupe::ring
