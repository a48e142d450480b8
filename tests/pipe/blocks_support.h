#pragma once

#include <algorithm>
#include <optional>
#include <stdexcept>

#include "pipe/blocks.h"
#include "pipe_support.h"

// A pipe over which blocks go, and blocks that tell whether they were freed under their reader.
namespace pipe_test {

using troupe::pipe::BlockHold;
using troupe::pipe::Blocks;

inline constexpr std::size_t kPages = 16;
inline constexpr PipeShape kShape{.ring_capacity = 512, .duplex = true, .block_bytes = kPages * troupe::pipe::kBlockPage};
inline constexpr troupe::Clock::time_point kNow = troupe::Clock::time_point::min();

// One process's view.
struct Party {
  Party(Memory memory, Side side, troupe::shared::Slot slot) : blocks(memory, nullptr, slot + kBlockSlots), end(memory, side, slot, &blocks) {}
  Blocks blocks;
  End end;
};

inline std::size_t size_of(unsigned number) { return number % 3 == 2 ? troupe::pipe::kBlockPage + 1 : 100 + number; }

inline BlockHold make(Party& party, unsigned number) {
  auto block = party.blocks.make(size_of(number), false, kNow);
  if (!block) throw std::runtime_error("no block is free");
  std::ranges::fill(block->bytes(), static_cast<std::byte>(number));
  return std::move(*block);
}

inline void send(Party& party, unsigned number) {
  if (!party.end.send(make(party, number))) throw std::runtime_error("nobody can receive");
}

// Throws for one whose bytes are not what its first one says.
inline std::optional<unsigned> look(const BlockHold& block) {
  if (!block) return {};
  const auto number = static_cast<unsigned>(block.bytes()[0]);
  if (block.bytes().size() != size_of(number) || !std::ranges::all_of(block.bytes(), [&](auto byte) { return byte == static_cast<std::byte>(number); }))
    throw std::runtime_error("a block was freed under its reader");
  return number;
}

inline BlockHold receive_block(Party& party, troupe::Clock::time_point deadline = kNow) {
  Frame frame;
  if (party.end.receive(frame, deadline) != End::Received::frame) return {};
  return std::move(frame.block);
}

}  // namespace pipe_test
