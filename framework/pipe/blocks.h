#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <utility>

#include <troupe/duration.h>

#include "os/descriptor.h"
#include "pipe/pipe_layout.h"
#include "shared/slot.h"

namespace troupe::pipe {

class Blocks;

// One hold of a block: it is not freed as long as this is there.
//
// Threads: a value.
class BlockHold {
 public:
  BlockHold() = default;
  BlockHold(Blocks& blocks, const BlockReference& what) : blocks_(&blocks), what_(what) {}
  BlockHold(BlockHold&& other) noexcept : blocks_(std::exchange(other.blocks_, nullptr)), what_(other.what_) {}
  BlockHold& operator=(BlockHold&& other) noexcept {
    std::swap(blocks_, other.blocks_);
    std::swap(what_, other.what_);
    return *this;
  }
  ~BlockHold() {
    if (blocks_) let_go();
  }
  explicit operator bool() const { return blocks_ != nullptr; }
  [[nodiscard]] Blocks* blocks() const { return blocks_; }
  [[nodiscard]] const BlockReference& what() const { return what_; }
  // What is in it, its first size() bytes.
  [[nodiscard]] std::span<std::byte> bytes() const;

  // By who made it, before it is sent.
  void set(std::uint64_t size, std::uint64_t type) { what_.size = size, what_.type = type; }

 private:
  void let_go() noexcept;

  Blocks* blocks_ = nullptr;
  BlockReference what_{};
};

// The blocks of a pipe as one process holds them: see block_layout.h. It must outlive its holds.
//
//     Blocks blocks(memory, &descriptor, slot);
//     BlockHold block = blocks.make(size);   // write to block.bytes(), then end.send(block)
//
// Any process may be killed at any instruction. Once root has called recover_blocks() with its slot, what it alone used is free.
//
// Throws ProtocolError for what cannot be in the memory; but whoever reads a block trusts all who hold it, for they can write to it.
//
// Threads: any.
class Blocks {
 public:
  // All of a pipe's memory. Without a descriptor all of it is there already.
  Blocks(std::span<std::byte> memory, const os::Descriptor* descriptor, shared::Slot slot);
  Blocks(const Blocks&) = delete;
  Blocks& operator=(const Blocks&) = delete;

  // Waits until so much is free in one piece; nothing if `deadline` passed first. It may hold what older blocks left; `zeroed`: it does not. Throws
  // std::length_error for more than all of the area, SystemError where the system has no memory.
  [[nodiscard]] std::optional<BlockHold> make(std::size_t size, bool zeroed, Clock::time_point deadline = Clock::time_point::max());

  // For ends, under the lock of their way; `send` and `receive` move the ring's index to `position`.
  template <class Send>
  void sent(Way& way, Side side, const BlockReference& what, std::uint64_t position, Send send) {
    Word& count = record(what).sent[index(side)];
    const auto next = count.load(std::memory_order_relaxed) + 1;
    stage(way.sending, what, position, next);
    send();
    count.store(next, std::memory_order_seq_cst);
    way.sending.owner.store(0, std::memory_order_release);
  }
  template <class Receive>
  [[nodiscard]] BlockHold received(Way& way, Side side, const BlockReference& what, std::uint64_t position, Receive receive) {
    Word& count = record(what).received[index(side)];
    const auto next = count.load(std::memory_order_relaxed) + 1;
    stage(way.receiving, what, position, next);
    hold(what);
    receive();
    count.store(next, std::memory_order_seq_cst);
    way.receiving.owner.store(0, std::memory_order_release);
    return {*this, what};
  }

  // The memory was overwritten: whoever waits for a block, or wants one, gets a ProtocolError.
  void break_for_good();

  // So many are used, by anybody.
  [[nodiscard]] std::size_t used() const;
  // So much of the area has memory.
  [[nodiscard]] std::size_t allocated() const;

 private:
  friend class BlockHold;
  // Throw ProtocolError if it cannot be.
  BlockRecord& record(const BlockReference& what) const;
  std::span<std::byte> place(const BlockRecord& record) const;

  std::optional<BlockReference> take(std::size_t capacity, bool& was_used);
  BlockRecord* find_free(std::size_t capacity) const;
  BlockRecord* carve(std::size_t capacity);
  void empty_free_ones(std::size_t keep);
  void stage(BlockStage& stage, const BlockReference& what, std::uint64_t position, std::uint64_t count) const;
  void hold(const BlockReference& what);
  void let_go(const BlockReference& what) noexcept;

  std::span<std::byte> area_;
  std::size_t area_offset_;  // in the memory
  const os::Descriptor* descriptor_;
  PipeHeader* header_;
  BlockTable* table_;
  shared::Slot me_;
  const std::uint32_t forks_;  // when it was made
  std::mutex mutex_;
  std::array<std::uint32_t, kBlocksMax> holds_{};  // of ours, by record; under the mutex
};

// By whoever let go of it last, or root: frees the block if nothing uses it, and says whether it did.
bool free_if_unused(PipeHeader& header, BlockTable& table, BlockRecord& record, std::uint64_t state);

}  // namespace troupe::pipe
