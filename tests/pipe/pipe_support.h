#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "os/memory.h"
#include "pipe/end.h"
#include "pipe/packets.h"
#include "pipe/recover.h"

// A small pipe in memory that forked processes share, and frames that tell whether they are whole.
namespace pipe_test {

using Memory = std::span<std::byte>;
using troupe::pipe::End;
using troupe::pipe::Frame;
using troupe::pipe::PipeShape;
using troupe::pipe::Side;

inline constexpr troupe::shared::Slot kBlockSlots = 70;  // slots at an end and among the users of the blocks are not the same

// Frames of up to 127 bytes go in one record.
inline constexpr PipeShape kSmall{.ring_capacity = 512, .duplex = true};

class PipeMemory {
 public:
  explicit PipeMemory(const PipeShape& shape = kSmall)
      : mapping_(troupe::os::make_shared_memory("pipe-test", size_of(shape)), size_of(shape)) {
    troupe::pipe::format(bytes(), shape);
    if (shape.over_sockets) sockets_ = troupe::pipe::make_sockets(shape.ring_capacity);
  }
  [[nodiscard]] End end(Side side, troupe::shared::Slot slot) const { return End(bytes(), side, slot, nullptr, socket(side)); }
  [[nodiscard]] int socket(Side side) const { return (side == Side::first ? sockets_.first : sockets_.second).get(); }
  void end_gone(Side side) const { troupe::pipe::end_gone(bytes(), side, socket(side)); }
  [[nodiscard]] Memory bytes() const { return mapping_.bytes().first(mapping_.bytes().size() - kBehind); }
  // With the counter behind it.
  [[nodiscard]] Memory all() const { return mapping_.bytes(); }

  static constexpr std::size_t kBehind = 64;

 private:
  static std::size_t size_of(const PipeShape& shape) { return troupe::pipe::memory_size(shape) + kBehind; }
  troupe::os::Mapping mapping_;
  std::pair<troupe::os::Descriptor, troupe::os::Descriptor> sockets_;
};

inline Memory pipe_in(Memory all) { return all.first(all.size() - PipeMemory::kBehind); }
// Of the victim: so many of its operations have returned.
inline std::atomic<std::uint32_t>& done(Memory all) {
  return *reinterpret_cast<std::atomic<std::uint32_t>*>(all.data() + all.size() - PipeMemory::kBehind);
}

// Frame `number`: that byte so often; small ones and, each third, one in pieces. Each fourth has handles attached.
inline std::size_t frame_size(unsigned number) { return number % 3 == 2 ? 260 + number % 7 : 30 + number * 23 % 60; }
inline std::size_t attached(unsigned number) { return number % 4 == 3 ? 3 : 0; }
inline std::vector<std::byte> frame(unsigned number) { return std::vector(frame_size(number), static_cast<std::byte>(number)); }

inline void send(End& end, unsigned number) {
  if (!end.send(frame(number), attached(number))) throw std::runtime_error("nobody can receive");
}

// Its number. Nothing if there is none. Throws for a torn one. It may come at once if it is of the size expected.
inline std::optional<unsigned> receive(End& end, troupe::Clock::time_point deadline = troupe::Clock::time_point::min(), std::size_t expected = 0) {
  Frame got;
  got.bytes.resize(expected);
  if (end.receive(got, deadline) != End::Received::frame) return {};
  const unsigned number = got.bytes.empty() ? 0 : static_cast<unsigned>(got.bytes[0]);
  if (got.bytes != frame(number) || got.attached != attached(number)) throw std::runtime_error("a torn frame");
  return number;
}
inline unsigned receive_now(End& end) {
  const auto number = receive(end, troupe::Clock::time_point::max());
  if (!number) throw std::runtime_error("the end of the file");
  return *number;
}


// From now on both send and receive at once what is small: they keep their locks. As many frames wait as before, and what comes next does
// not lie over the end of the ring.
inline constexpr unsigned kPractice = 12;
inline void practise(End& sender, End& receiver, bool is_full = false) {
  if (is_full) receive_now(receiver);
  for (unsigned i = 0; i < kPractice + 2; ++i) send(sender, 0), receive_now(receiver);
  if (is_full) send(sender, 0);
}

}  // namespace pipe_test
