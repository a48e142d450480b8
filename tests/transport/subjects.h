#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <ostream>
#include <random>
#include <span>
#include <utility>
#include <vector>

#include "transport/link.h"
#include "transport/waiter.h"

// What the conformance suite runs on, and what every test of a link does again and again.
namespace troupe::test {

using namespace transport;

using Bytes = std::vector<std::byte>;

enum class Subject { ring, pipe, loopback };

inline std::ostream& operator<<(std::ostream& out, Subject subject) {
  constexpr const char* kNames[] = {"ring", "pipe", "loopback"};
  return out << kNames[static_cast<int>(subject)];
}

inline LinkOptions options_of(Subject subject, std::size_t ring_bytes = 4096) {
  return {.kind = subject == Subject::pipe ? Kind::pipe : Kind::ring, .ring_bytes = ring_bytes, .frame_size_max = 1 << 20};
}

struct Ends {
  std::unique_ptr<Transport> left, right;
};

// Both ends in this process.
inline Ends ends_of(Subject subject, std::size_t ring_bytes = 4096) {
  const auto options = options_of(subject, ring_bytes);
  if (subject == Subject::loopback) {
    auto [left, right] = make_loopback(options);
    return {std::move(left), std::move(right)};
  }
  auto link = make_link(options);
  auto right = join_link(options, std::move(link.theirs));
  return {std::move(link.ours), std::move(right)};
}

// A frame of `size` bytes that tells whether it is whole, and which one it is.
inline Bytes numbered(std::uint32_t number, std::size_t size) {
  Bytes bytes(size);
  std::minstd_rand random(number + 1);
  for (auto& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

inline bool try_send(Transport& link, std::span<const std::byte> bytes) {
  std::byte* frame = link.claim_unzeroed(bytes.size());
  if (!frame) return false;
  std::copy(bytes.begin(), bytes.end(), frame);
  link.commit(bytes.size());
  return true;
}

inline std::optional<Bytes> try_receive(Transport& link) {
  const auto frame = link.peek();
  if (!frame) return {};
  Bytes bytes(frame->begin(), frame->end());
  link.release();
  return bytes;
}

// The same, asleep while it does not go; for a peer that runs by itself.
inline void send(Transport& link, Waiter& waiter, std::span<const std::byte> bytes) {
  while (!try_send(link, bytes)) waiter.wait();
}

inline std::optional<Bytes> receive(Transport& link, Waiter& waiter) {
  while (true) {
    if (auto bytes = try_receive(link)) return bytes;
    if (link.closed()) return {};
    waiter.wait();
  }
}

}  // namespace troupe::test
