#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "queue/blocks.h"
#include "queue/held.h"
#include "queue/leases.h"
#include "queue/queue_memory.h"

namespace troupe::queue {

// The items of a queue that is not first in, first out, in the place of the log. An item is put into an entry, and stays there until
// it is over; a lease is a change of its entry's state. Larger ones have a block, too.
//
//     if (const auto first = items.first()) { copy(items.bytes(*first)); items.take(*first); }
//
// The state of its entry is the truth about an item, and the one store that changes it commits. Everything else (the heap of those
// that wait, the list of free entries, all counts) only follows from the states. Who is killed between them leaves it in any shape,
// and root, which changes states without the lock, leaves it out of date: then LeaseHeap::look is set, and whoever comes next with
// the lock makes it anew from the states.
//
// Threads: whoever holds the put lock, except for the static ones.
class OrderedItems {
 public:
  OrderedItems(const QueueMemory& memory, Owner me) : memory_(memory), me_(me) {}

  // An item that waits.
  struct Item {
    std::uint32_t entry = 0;
    std::uint64_t state = 0;
    std::uint64_t size = 0;
    BlockId block = 0;
  };

  // Makes everything anew if somebody died, or changed states without the lock. All that follow do this first.
  void refresh() const;

  // False if there is no room. With `block` the item lies there, written by us. Throws SystemError if the kernel has no memory.
  [[nodiscard]] bool put(std::span<const std::byte> bytes, BlockId block = 0) const;

  // The next to come out. Throws ProtocolError.
  [[nodiscard]] std::optional<Item> first() const;
  // Of one without a block.
  [[nodiscard]] std::span<const std::byte> bytes(const Item& item) const;
  // The first, which has no block, is over.
  void take(const Item& first) const;
  // The first is ours.
  [[nodiscard]] Lease hold(const Item& first, Leases::State as) const;
  // Makes room: the one that would be the last to come out is over. False if there is none.
  [[nodiscard]] bool drop_last() const;

  // The memory behind the last items goes back to the kernel, but for that of a few. False if there is more.
  bool give_back_spare() const;

  // Ends a lease: nothing if it was over before; 0, or else the block that has to be freed before free_entry().
  [[nodiscard]] std::optional<BlockId> acknowledge(const Lease& lease) const;
  void free_entry(std::uint32_t entry) const;
  // The item waits again, at its old place; or it is a dead letter. False if the lease was over before.
  [[nodiscard]] bool give_back(const Lease& lease) const;

  // As it seems without the lock.
  [[nodiscard]] static bool is_stale(const QueueMemory& memory);
  [[nodiscard]] static std::uint32_t waiting(const QueueMemory& memory);
  [[nodiscard]] static std::uint32_t live(const QueueMemory& memory);  // wait or are leased
  [[nodiscard]] static bool may_have_room(const QueueMemory& memory, std::uint64_t size = 0);

  // For root, while a dead user has the lock: finishes the put that it was killed in.
  static void finish(const QueueMemory& memory);

 private:
  struct Counts {
    std::uint32_t waiting, listed, used;
  };
  struct Census;
  [[nodiscard]] OrderHeap& heap() const { return memory_.control().order; }
  [[nodiscard]] Counts counts() const;
  [[nodiscard]] std::uint32_t at(std::uint32_t index) const;
  void place(std::uint32_t index, std::uint32_t entry) const { ordered(index).store(entry, std::memory_order_relaxed); }
  [[nodiscard]] HalfWord& ordered(std::uint32_t index) const;
  [[nodiscard]] bool is_before(std::uint32_t a, std::uint32_t b) const;
  void sift_up(std::uint32_t index) const;
  void sift_down(std::uint32_t index, std::uint32_t count) const;
  [[nodiscard]] std::uint32_t remove(std::uint32_t index) const;
  void note_free() const;
  void list_free(std::uint32_t entry) const;
  void leave(const Item& item) const;
  [[nodiscard]] Item waiting_at(std::uint32_t index) const;
  [[nodiscard]] bool grow(const Counts& counts) const;
  void rebuild(std::uint32_t keep) const;
  void compact(std::uint32_t used) const;
  void move(std::uint32_t from, std::uint32_t to) const;
  void finish_move() const;
  [[nodiscard]] Leases::State state_of(std::uint32_t entry) const;
  [[nodiscard]] Census take_census(std::uint32_t used) const;
  void list_all_free(std::uint32_t waiting, std::uint32_t used) const;
  void give_back_memory(std::uint32_t least) const;

  const QueueMemory& memory_;
  Owner me_;
};

}  // namespace troupe::queue
