#pragma once

#include <troupe/ask.h>
#include <troupe/death.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "message/frame.h"

namespace troupe::node {

// An actor of this process by its place, so that it may have ended meanwhile.
struct CellId {
  std::uint32_t slot = 0;
  std::uint32_t generation = 0;
  bool operator==(const CellId&) const = default;
};

// What becomes of a question, where no frame says it.
struct Event {
  enum class What : std::uint8_t { timer, late, down, found };
  What what = What::timer;
  Death death;    // down
  Address found;  // found
};

// Something for an actor that has to wait for its turn: a frame in memory of its own, or an event.
struct Letter {
  Letter(const message::FrameHeader& from_header, std::uint64_t from_process, const detail::Body& from_body)
      : header(from_header), process(from_process), words(new capnp::word[from_body.count]), body(from_body) {
    std::memcpy(static_cast<void*>(words.get()), from_body.words, from_body.count * sizeof(capnp::word));
    body.words = words.get();
    body.reader = nullptr;
  }
  Letter(std::uint64_t question, Event from_event) : event(new Event(std::move(from_event))) { header.correlation = question; }

  message::FrameHeader header;
  std::uint64_t process = 0;
  std::unique_ptr<capnp::word[]> words;
  detail::Body body;
  std::unique_ptr<Event> event;
};

// A whole frame that has to wait for room in its link.
class KeptFrame {
 public:
  KeptFrame(const message::FrameHeader& header, const detail::Payload& payload)
      : size_(message::frame_size(payload)), bytes_(new std::byte[size_]) {
    message::write_frame(bytes_.get(), header, payload);
  }
  [[nodiscard]] std::span<const std::byte> bytes() const { return {bytes_.get(), size_}; }
  [[nodiscard]] message::FrameHeader header() const {
    message::FrameHeader header;
    std::memcpy(&header, bytes_.get(), sizeof header);
    return header;
  }
  void set_correlation(std::uint64_t correlation) {
    std::memcpy(bytes_.get() + offsetof(message::FrameHeader, correlation), &correlation, sizeof correlation);
  }

 private:
  std::size_t size_;
  std::unique_ptr<std::byte[]> bytes_;
};

}  // namespace troupe::node
