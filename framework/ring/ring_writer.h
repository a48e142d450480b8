#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "ring/ring.h"

namespace troupe::ring {

// The writing end of a ring that carries frames from one process to another, without system calls.
//
//     if (std::byte* frame = writer.claim(bytes.size())) {
//       std::ranges::copy(bytes, frame);
//       writer.commit(bytes.size());
//     }
//     writer.publish();  // once a batch
//
// publish() shows the reader all that was committed in a single store, so a writer that dies leaves whole frames or nothing. A
// reader that moves its index where it may not poisons the writer: claim() throws ProtocolError, now and ever after.
//
// Threads: confined to one thread at a time; one writer per ring, ever.
class RingWriter {
 public:
  // Joins the ring in `memory`, which must outlive the writer. Throws ProtocolError if it is not a ring.
  explicit RingWriter(std::span<std::byte> memory);

  // Space for a frame of up to `size` bytes, 8-byte aligned and zeroed, or null while the ring is too full; what was committed
  // is published then. A second claim before commit() replaces the first. Throws std::length_error if it could never fit.
  [[nodiscard]] std::byte* claim(std::size_t size) {
    std::byte* frame = claim_unzeroed(size);
    if (frame) std::memset(frame, 0, record_length(size) - kRecordHeader);
    return frame;
  }

  // The same for those who overwrite every byte: it shows older frames.
  [[nodiscard]] std::byte* claim_unzeroed(std::size_t size) {
    if (size > frame_size_max_) [[unlikely]]
      throw_too_large(size);
    const std::uint64_t length = record_length(size);
    const std::uint64_t to_end = ring_.capacity - (tail_ & mask_);
    const std::uint64_t start = length <= to_end ? tail_ : tail_ + to_end;
    if (start + length > room_end_) [[unlikely]] {
      if (!look_for_room(start + length)) return nullptr;
    }
    if (start != tail_) write_word(tail_, record_word(to_end - kRecordHeader, 0, RecordKind::pad));
    claim_ = start;
    claim_limit_ = size + 1;
    return at(start) + kRecordHeader;
  }

  // Takes the first `size` bytes of what was claimed as a frame. `tag` goes along; the ring does not look at it.
  void commit(std::size_t size, std::uint16_t tag = 0) {
    if (size >= claim_limit_) [[unlikely]]
      commit_without_claim();
    write_word(claim_, record_word(size, tag, RecordKind::frame));
    tail_ = claim_ + record_length(size);
    claim_limit_ = 0;
  }

  // Shows all that was committed to the reader. False if that was nothing new.
  bool publish() {
    if (tail_ == published_) return false;
    // The one store that publishes; the acquire load in RingReader::look_for_frames() pairs with it.
    ring_.header->tail.store(tail_, std::memory_order_release);
    published_ = tail_;
    return true;
  }

  // claim_unzeroed(), commit() and publish() in a few instructions, but only where there is room for the frame in one piece that we know of:
  // else null, and nothing was done. Not while a claim is open.
  [[nodiscard]] std::byte* room_here(std::size_t size) const {
    const std::uint64_t length = record_length(size);
    const std::uint64_t place = tail_ & mask_;
    if (length > ring_.capacity - place || length > room_end_ - tail_) [[unlikely]] return nullptr;
    return ring_.frames + place + kRecordHeader;
  }
  void publish_here(std::size_t size) {
    write_word(tail_, record_word(size, 0, RecordKind::frame));
    tail_ += record_length(size);
    published_ = tail_;
    ring_.header->tail.store(tail_, std::memory_order_release);  // as in publish()
  }

  // A frame larger than this never fits, however long one waits: half of the ring, so that it fits wherever the tail is.
  [[nodiscard]] std::size_t frame_size_max() const { return frame_size_max_; }

  // Where the head has to come, at least, before another claim() is worthwhile: half of the ring free, and the claim that
  // failed must fit. For RingHeader::room_wanted.
  [[nodiscard]] std::uint64_t room_wanted() const;
  // Where it has to come so that just the claim that failed fits.
  [[nodiscard]] std::uint64_t room_needed() const;

  // The head has come there, as far as one can see now.
  [[nodiscard]] bool room_came(std::uint64_t wanted) const;

  [[nodiscard]] RingHeader& header() const { return *ring_.header; }
  [[nodiscard]] std::size_t capacity() const { return ring_.capacity; }
  [[nodiscard]] std::uint64_t published() const { return published_; }
  [[nodiscard]] std::uint64_t committed() const { return tail_; }

 private:
  [[nodiscard]] std::byte* at(std::uint64_t position) const { return ring_.frames + (position & mask_); }
  void write_word(std::uint64_t position, std::uint64_t word) {
    // Atomic only because a hostile reader's copy may look at any time; it orders nothing.
    std::atomic_ref(*reinterpret_cast<std::uint64_t*>(at(position))).store(word, std::memory_order_relaxed);
  }
  // Reads the reader's index, true if positions up to `end` are free.
  bool look_for_room(std::uint64_t end);
  [[noreturn]] void throw_too_large(std::size_t size) const;
  [[noreturn]] static void commit_without_claim();

  Ring ring_;
  std::uint64_t mask_;
  std::size_t frame_size_max_;
  std::uint64_t tail_;           // ours alone, so never read back from the header
  std::uint64_t room_end_;       // head as last seen plus capacity; the reader may be further: looked up only when we seem full
  std::uint64_t published_;      // what the header's tail says; not beside tail_, or both go through one wide store and tail_ comes back late
  std::uint64_t end_wanted_;     // of the last claim that failed
  std::uint64_t claim_;          // where the claimed record begins
  std::size_t claim_limit_ = 0;  // commit() takes fewer bytes than this
  bool poisoned_ = false;
};

}  // namespace troupe::ring
