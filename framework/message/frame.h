#pragma once

#include <troupe/death.h>
#include <troupe/message.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "message/control.capnp.h"
#include "message/death_record.h"

namespace troupe::message {

// A frame is what one process sends another: this header, then a Cap'n Proto message.
//
//   0        4    5     6       8         12     16           20                24            32       40
//   | bytes  |kind|flags|  0    | to slot | gen. | from slot  | from generation | correlation | schema | message …
//
// `bytes` counts the message alone. Which processes they are is known from the link. The message is one segment; with the flag
// flat, its root is a struct without pointers right behind the root pointer; with the flag segmented, it is any number of
// segments with Cap'n Proto's table in front.
enum class Kind : std::uint8_t {
  message = 1,  // for an actor
  request,      // the same, to be answered to `correlation`
  reply,        // the answer
  refused,      // there is no answer: a Refusal
  down,         // there is no answer, or what was monitored has come: a DeathRecord
  monitor,      // answer with `down` when the actor ends
  unmonitor,    // forget `monitor` of that correlation
  pause,        // `to` shall not be sent messages for now …
  resume,       // … and now again
};
inline constexpr std::uint8_t kFlat = 1;
inline constexpr std::uint8_t kSegmented = 2;

struct FrameHeader {
  std::uint32_t bytes = 0;
  Kind kind = Kind::message;
  std::uint8_t flags = 0;
  std::uint16_t zero = 0;
  std::uint32_t to_slot = 0;
  std::uint32_t to_generation = 0;
  std::uint32_t from_slot = 0;
  std::uint32_t from_generation = 0;
  std::uint64_t correlation = 0;
  std::uint64_t schema = 0;
};
static_assert(sizeof(FrameHeader) == 40 && alignof(FrameHeader) == 8);

// How many bytes the frame takes.
std::size_t frame_size(const detail::Payload& payload);

// Writes the frame to `to`, which is 8-byte aligned and has room for frame_size(); fills in the header's sizes, flags and schema.
void write_frame(std::byte* to, FrameHeader header, const detail::Payload& payload);

// The header of a frame whose bytes may change under us: copied, then checked. Throws ProtocolError.
FrameHeader read_header(std::span<const std::byte> frame);

// The message of a frame, which lies in memory of our own from `words` on. Of one segment all is checked, so that it can be read
// without further checks. Throws ProtocolError.
detail::Body read_body(const FrameHeader& header, const capnp::word* words);

// The reader of a message of several segments. All of it is followed once: no pointer leads out of it.
class SegmentsReader {
 public:
  // Throws ProtocolError.
  explicit SegmentsReader(const detail::Body& body);
  [[nodiscard]] capnp::MessageReader& get() { return *reader_; }

 private:
  std::optional<capnp::FlatArrayMessageReader> reader_;
};

// Calls `use` with the checked message of a frame. Throws ProtocolError.
template <class Use>
void with_body(const FrameHeader& header, const capnp::word* words, Use&& use) {
  detail::Body body = read_body(header, words);
  if (!body.segmented) return use(body);
  SegmentsReader reader(body);
  body.reader = &reader.get();
  use(body);
}

// Frames without a message: monitor, unmonitor, pause, resume.
inline constexpr detail::Payload kNothing{};

// A Death and a refusal as they travel. Reading throws ProtocolError.
template <class Use>
decltype(auto) with_death(const Death& death, Use&& use) {
  return detail::build<DeathRecord>(
      [&](DeathRecord::Builder record) { write(record, death); },
      std::forward<Use>(use));
}
template <class Use>
decltype(auto) with_refusal(const std::string& why, Use&& use) {
  return detail::build<Refusal>([&](Refusal::Builder refusal) { refusal.setWhy(why); }, std::forward<Use>(use));
}
Death read_death(const detail::Body& body);
std::string read_refusal(const detail::Body& body);

}  // namespace troupe::message
