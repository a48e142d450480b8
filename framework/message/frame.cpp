#include "message/frame.h"

#include <capnp/any.h>
#include <fmt/format.h>
#include <troupe/errors.h>

#include <cstring>

#include "message/check_tree.h"

namespace troupe::message {

namespace {

constexpr std::size_t kWord = sizeof(capnp::word);

[[noreturn]] void refuse(const char* what, std::uint64_t value) {
  throw ProtocolError(fmt::format("frame: {} ({})", what, value));
}

bool carries_message(Kind kind) { return kind <= Kind::down; }

// Cap'n Proto's table: the number of segments less one, their sizes in words, padded to a word.
std::size_t table_words(std::size_t segments) { return segments / 2 + 1; }

std::byte* write_table(std::byte* to, const detail::Payload& payload) {
  auto* table = reinterpret_cast<std::uint32_t*>(to);
  table[0] = static_cast<std::uint32_t>(payload.count - 1);
  for (std::size_t i = 0; i < payload.count; ++i) table[i + 1] = static_cast<std::uint32_t>(payload.segments[i].size());
  if (payload.count % 2 == 0) table[payload.count + 1] = 0;
  return to + table_words(payload.count) * kWord;
}

// A struct without pointers right behind its root pointer, as detail::is_flat ones are; one without data may point at itself.
bool is_flat_struct(std::span<const capnp::word> words) {
  std::uint64_t root = 0;
  std::memcpy(&root, words.data(), kWord);
  const auto distance = static_cast<std::uint32_t>(root);
  const auto data_words = static_cast<std::uint16_t>(root >> 32);
  const auto pointers = static_cast<std::uint16_t>(root >> 48);
  if (pointers != 0 || data_words >= words.size()) return false;
  return distance == 0 || (distance == 0xfffffffc && data_words == 0);
}

}  // namespace

std::size_t frame_size(const detail::Payload& payload) {
  std::size_t words = payload.count > 1 ? table_words(payload.count) : 0;
  for (std::size_t i = 0; i < payload.count; ++i) words += payload.segments[i].size();
  return sizeof(FrameHeader) + words * kWord;
}

void write_frame(std::byte* to, FrameHeader header, const detail::Payload& payload) {
  header.bytes = static_cast<std::uint32_t>(frame_size(payload) - sizeof(FrameHeader));
  header.flags = payload.flat ? kFlat : payload.count > 1 ? kSegmented : 0;
  header.schema = payload.schema;
  std::memcpy(to, &header, sizeof header);
  to += sizeof header;
  if (payload.count > 1) to = write_table(to, payload);
  for (std::size_t i = 0; i < payload.count; ++i) {
    std::memcpy(to, payload.segments[i].begin(), payload.segments[i].size() * kWord);
    to += payload.segments[i].size() * kWord;
  }
}

FrameHeader read_header(std::span<const std::byte> frame) {
  FrameHeader header;
  if (frame.size() < sizeof header) refuse("too short for its header", frame.size());
  std::memcpy(&header, frame.data(), sizeof header);
  if (header.bytes != frame.size() - sizeof header) refuse("does not have the size it says", header.bytes);
  if (header.bytes % kWord != 0) refuse("its message is not made of words", header.bytes);
  if (header.kind < Kind::message || header.kind > Kind::resume) refuse("of no known kind", static_cast<std::uint8_t>(header.kind));
  if (header.flags > kSegmented || header.zero != 0) refuse("has unknown flags", header.flags);
  if (carries_message(header.kind) ? header.bytes == 0 : header.bytes != 0) refuse("its kind has no such message", header.bytes);
  return header;
}

detail::Body read_body(const FrameHeader& header, const capnp::word* words) {
  const std::span message(words, header.bytes / kWord);
  detail::Body body{.words = words, .count = message.size(), .segmented = (header.flags & kSegmented) != 0};
  if (message.empty() || body.segmented) return body;
  if (!is_flat_struct(message)) {
    if ((header.flags & kFlat) != 0) refuse("is not flat as its flag says", header.schema);
    check_tree(message);
  }
  body.checked = true;
  return body;
}

SegmentsReader::SegmentsReader(const detail::Body& body) try {
  const auto words = kj::arrayPtr(body.words, body.count);
  reader_.emplace(words, detail::reader_options(body.count));
  if (reader_->getEnd() != words.end()) refuse("its segments do not fill it", body.count);
  static_cast<void>(reader_->getRoot<capnp::AnyPointer>().targetSize());
} catch (const kj::Exception& error) {
  throw ProtocolError(fmt::format("frame: not a Cap'n Proto message: {}", error.getDescription().cStr()));
}

Death read_death(const detail::Body& body) {
  return detail::read<DeathRecord>(body, [](DeathRecord::Reader record) { return read(record); });
}

std::string read_refusal(const detail::Body& body) {
  return detail::read<Refusal>(body, [](Refusal::Reader refusal) { return std::string(refusal.getWhy()); });
}

}  // namespace troupe::message
