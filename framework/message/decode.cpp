#include "message/decode.h"

#include <capnp/dynamic.h>
#include <fmt/format.h>
#include <troupe/errors.h>

#include <array>
#include <cstring>
#include <vector>

#include "message/frame.h"
#include "message/value_text.h"

namespace troupe::message {

namespace {

constexpr std::array<const char*, 10> kKindNames = {"",     "message",   "request", "reply", "refused",
                                                    "down", "monitor", "unmonitor", "pause", "resume"};
constexpr std::size_t kHexMax = 256;

std::string head_text(const FrameHeader& header) {
  std::string text = fmt::format("{} to {}.{}", kKindNames[static_cast<std::size_t>(header.kind)], header.to_slot,
                                 header.to_generation);
  if (header.from_generation != 0) text += fmt::format(" from {}.{}", header.from_slot, header.from_generation);
  if (header.correlation != 0) text += fmt::format(" #{}", header.correlation);
  return text;
}

std::string hex_text(std::span<const std::byte> bytes) {
  std::string text;
  for (const std::byte byte : bytes.first(std::min(bytes.size(), kHexMax))) text += fmt::format("{:02x}", static_cast<unsigned>(byte));
  if (bytes.size() > kHexMax) text += fmt::format("… ({} bytes)", bytes.size());
  return text;
}

std::string message_text(const FrameHeader& header, const capnp::word* words, capnp::StructSchema schema) {
  const auto text = [&](capnp::MessageReader& reader) {
    return fmt::format("{} {}", schema.getShortDisplayName().cStr(), dynamic_text(reader.getRoot<capnp::DynamicStruct>(schema)));
  };
  const detail::Body body = read_body(header, words);
  if (body.segmented) return text(SegmentsReader(body).get());
  const auto segment = kj::arrayPtr(words, body.count);
  capnp::SegmentArrayMessageReader reader(kj::arrayPtr(&segment, 1), detail::reader_options(body.count));
  return text(reader);
}

}  // namespace

void Decoder::add(capnp::StructSchema schema) { schemas_.emplace(schema.getProto().getId(), schema); }

std::string Decoder::text(std::span<const std::byte> frame) const try {
  const FrameHeader header = read_header(frame);
  if (header.bytes == 0) return head_text(header);
  std::vector<capnp::word> words(header.bytes / sizeof(capnp::word));
  std::memcpy(words.data(), frame.data() + sizeof header, header.bytes);
  const auto schema = schemas_.find(header.schema);
  if (schema != schemas_.end()) return fmt::format("{} {}", head_text(header), message_text(header, words.data(), schema->second));
  return fmt::format("{} @0x{:x} {}", head_text(header), header.schema, hex_text(frame.subspan(sizeof header)));
} catch (const ProtocolError& error) {
  return fmt::format("[{}] {}", error.what(), hex_text(frame));
} catch (const kj::Exception& error) {
  return fmt::format("[{}] {}", error.getDescription().cStr(), hex_text(frame));
}

}  // namespace troupe::message
