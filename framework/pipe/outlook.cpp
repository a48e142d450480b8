#include "pipe/outlook.h"

#include "pipe/pipe_layout.h"

namespace troupe::pipe {
namespace {

// Those that the dead have left are a quarter of the ring each but for the last of a frame, so that there are only a few.
constexpr int kRecordsMax = 64;

// It may be overwritten meanwhile, which is found out afterwards: nothing that TSan should know of.
__attribute__((no_sanitize("thread"))) std::uint64_t word_at(const std::byte* place) {
  return *reinterpret_cast<const volatile std::uint64_t*>(place);
}

Outlook scan(std::span<const std::byte> frames, std::uint64_t head, std::uint64_t tail) {
  if (head == tail) return Outlook::nothing;
  std::uint64_t missing = 0;
  for (int records = 0; head != tail; ++records) {
    const std::size_t at = head & (frames.size() - 1);
    const std::uint64_t published = tail - head, to_end = frames.size() - at;
    if (head % 8 != 0 || published > frames.size() || records == kRecordsMax) return Outlook::frame;
    const std::uint64_t word = word_at(frames.data() + at);
    const std::uint64_t size = ring::record_size(word), length = ring::record_length(size);
    if (length > to_end || length > published) return Outlook::frame;
    head += length;
    if (ring::record_kind(word) == ring::RecordKind::pad) continue;
    const auto part = static_cast<Part>(ring::record_tag(word) & kPartMask);
    if (part == Part::first) {
      const std::uint64_t total = size > sizeof word ? word_at(frames.data() + at + ring::kRecordHeader) : 0;
      if (total <= size - sizeof word || total > kFrameMax) return Outlook::frame;
      missing = total - (size - sizeof word);
    } else if (part == Part::more) {
      if (missing == 0) continue;
      if (missing <= size) return Outlook::frame;
      missing -= size;
    } else {
      return Outlook::frame;
    }
  }
  return Outlook::part;
}

}  // namespace

// What was seen is right if nothing was received meanwhile: only then is it overwritten.
Outlook look_ahead(const ring::RingHeader& header, std::span<const std::byte> frames) {
  constexpr int kTries = 100;  // who gets no rest from others should see for himself
  for (int i = 0; i < kTries; ++i) {
    const std::uint64_t head = header.head.load(std::memory_order_acquire);
    const Outlook seen = scan(frames, head, header.tail.load(std::memory_order_acquire));
    std::atomic_thread_fence(std::memory_order_acquire);
    if (header.head.load(std::memory_order_relaxed) == head) return seen;
  }
  return Outlook::frame;
}

}  // namespace troupe::pipe
