#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <troupe/duration.h>

#include "os/descriptor.h"
#include "os/memory.h"
#include "queue/queue_layout.h"

namespace troupe::queue {

struct QueueOptions {
  std::uint64_t items_max = 0;  // waiting; 0: as many as the memory holds
  std::uint64_t bytes_max = 0;  // of the items waiting; 0: as many as the memory holds
  Overflow overflow = Overflow::block;
  Order order = Order::fifo;
  std::uint32_t users_max = 64;
  std::uint32_t deliveries_max = 0;  // of a leased item, then it is a dead letter; 0: no limit
  std::uint32_t leases_max = 1024;   // at a time, dead letters included; with another order only half of it is a limit: that of dead letters
  std::uint32_t ticket_end = 0;      // items have a ticket that ends there: see tickets.h; 0: they have none
  std::uint64_t memory_max = std::uint64_t{4} << 30;  // for small items, and again for large ones of each size; taken as needed

  // For tests: what a queue is cut into.
  std::uint32_t segment_shift = 16;
  std::uint32_t segments_kept = 6;
  std::uint32_t block_shift = 14;
  std::uint32_t blocks_kept = 2;
  Duration idle = std::chrono::milliseconds(100);  // see SharedQueue
};

// Where everything lies. A pure function of the constants.
struct Geometry {
  // Throws ProtocolError if these cannot be the constants of a queue.
  explicit Geometry(const Constants& constants);

  std::uint64_t segment_bytes, log_bytes;
  std::uint64_t small_max;   // larger items lie in blocks
  std::uint64_t item_max;    // a larger one never fits
  std::uint64_t lease_stride;
  std::uint32_t entries_kept;  // with another order: so many keep their memory
  // Offsets in the memory.
  std::uint64_t table, hot, cold, entries, lease_data, order, block_states, segments, blocks;
  std::uint64_t mapped;      // bytes that are mapped
  std::uint64_t size;        // of the whole memory
};

// The memory of a queue as one process sees it: constants and geometry read once and checked, everything else by name.
//
// Threads: any.
class QueueMemory {
 public:
  // The descriptor of a new, empty queue. Throws ConfigError for options that cannot be met, SystemError.
  static os::Descriptor create(const QueueOptions& options);

  // Throws ProtocolError if `memory` is not a queue.
  explicit QueueMemory(os::Descriptor memory);

  const Constants constants;
  const Geometry geometry;

  [[nodiscard]] ControlArea& control() const { return *reinterpret_cast<ControlArea*>(base_); }
  [[nodiscard]] HalfWord& table(std::uint64_t logical) const { return half(geometry.table, logical & (constants.segments_max - 1)); }
  [[nodiscard]] HalfWord& hot(std::uint64_t index) const { return half(geometry.hot, index); }
  [[nodiscard]] HalfWord& cold(std::uint64_t index) const { return half(geometry.cold, index); }
  [[nodiscard]] LeaseEntry& entry(std::uint32_t index) const {
    return reinterpret_cast<LeaseEntry*>(base_ + geometry.entries)[index];
  }
  [[nodiscard]] std::byte* lease_data(std::uint32_t index) const {
    return base_ + geometry.lease_data + index * geometry.lease_stride;
  }
  // Which entry is at `index` of the order.
  [[nodiscard]] HalfWord& ordered(std::uint32_t index) const { return half(geometry.order, index); }
  [[nodiscard]] bool is_ordered() const { return constants.order != Order::fifo; }
  // Of the block classes one after the other.
  [[nodiscard]] Word& block_state(std::uint64_t index) const {
    return reinterpret_cast<Word*>(base_ + geometry.block_states)[index];
  }
  // Of a physical segment, checked by the caller.
  [[nodiscard]] std::byte* segment(std::uint64_t physical) const {
    return base_ + geometry.segments + (physical << constants.segment_shift);
  }
  // The memory of the log at `position`. Throws ProtocolError if the shared table leads elsewhere.
  [[nodiscard]] std::byte* at(std::uint64_t position) const {
    const std::uint32_t physical = table(position >> constants.segment_shift).load(std::memory_order_relaxed);
    if (physical >= constants.segments_max) [[unlikely]] throw_corrupt("a segment that does not exist");
    return segment(physical) + (position & (geometry.segment_bytes - 1));
  }
  [[nodiscard]] bool is_log(std::uint64_t head, std::uint64_t tail) const {
    return tail - head <= geometry.log_bytes && ((head | tail) & 7) == 0;
  }

  // For arrays that grow word by word: gives the page of the word at `offset` memory when the word is the first one there.
  // Throws SystemError.
  void allocate_word(std::uint64_t offset, std::uint64_t size, bool first) const;

  [[nodiscard]] const os::Descriptor& descriptor() const { return memory_; }
  [[nodiscard]] std::span<std::byte> mapped() const { return mapping_.bytes(); }

  [[noreturn]] static void throw_corrupt(const char* what);

 private:
  HalfWord& half(std::uint64_t offset, std::uint64_t index) const { return reinterpret_cast<HalfWord*>(base_ + offset)[index]; }

  os::Descriptor memory_;
  os::Mapping mapping_;
  std::byte* base_;
};

}  // namespace troupe::queue
