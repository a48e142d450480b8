#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>

#include "queue/blocks.h"
#include "queue/held.h"
#include "queue/queue_memory.h"
#include "shared/copy.h"

namespace troupe::queue {

// An item that a user holds until it acknowledges it or gives it back. A small item was copied from the log into the entry, so a
// long lease holds up nothing.
struct Lease {
  std::uint32_t entry = 0;
  std::uint64_t state = 0;

  // How often the item was handed out, this time included.
  [[nodiscard]] std::uint32_t deliveries() const { return static_cast<std::uint32_t>(state >> 32); }
};

// The entries of leased items. All that may happen to one is a change of one word:
//
//      | deliveries: 32 bits | owner: 16 bits | state: 16 bits |
//
//      free ── held ── free                  acknowledged
//               ├──── over ── free           the same for an item in a block: whoever is `over` frees the block
//               ├──── returned ── held …     given back, or its user died
//               └──── dead ── taken ── free  too often; nobody gets it but who asks for dead letters
//      free ── fetched ── over ── free       a plain get of an item in a block
//      free ── queued ── free, held, …       with another order than first in, first out: an item that waits
//
// An entry is held before the store that takes its record from the log. Where its user was killed in between, the record is
// still there and the entry, whose position is not before the head, is void.
//
// Threads: any; those that find entries for the caller under the get lock.
class Leases {
 public:
  enum class State : std::uint16_t { free = 0, held, fetched, returned, over, dead, taken, queued };

  static constexpr std::uint64_t word_of(State state, Owner owner, std::uint32_t deliveries) {
    return std::uint64_t{deliveries} << 32 | std::uint64_t{owner} << 16 | static_cast<std::uint64_t>(state);
  }
  static constexpr State state_of(std::uint64_t word) { return static_cast<State>(word & 0xffff); }
  static constexpr Owner owner_in(std::uint64_t word) { return static_cast<Owner>(word >> 16 & 0xffff); }
  static constexpr std::uint32_t deliveries_in(std::uint64_t word) { return static_cast<std::uint32_t>(word >> 32); }
  static constexpr std::uint64_t with_state(std::uint64_t word, State state, Owner owner) {
    return word_of(state, owner, deliveries_in(word));
  }
  // So often that it becomes a dead letter when it is given back.
  [[nodiscard]] static bool is_last(const QueueMemory& memory, std::uint64_t word) {
    return memory.constants.deliveries_max != 0 && deliveries_in(word) >= memory.constants.deliveries_max;
  }

  Leases(const QueueMemory& memory, Owner me) : memory_(memory), me_(me) {}

  // A lease of the record at `position`: of `bytes`, or else of `block` with an item of that size. Nothing if there is no free entry.
  [[nodiscard]] bool hold(std::uint64_t position, std::span<const std::byte> bytes, Lease& lease);
  [[nodiscard]] std::optional<Lease> hold(std::uint64_t position, const LargeItem& item, State as);
  // The head did not move past it after all.
  void cancel(const Lease& lease);

  // Some entry may be returned. Relaxed: the caller looks again before it sleeps.
  [[nodiscard]] bool may_be_returned() const { return heap().look.load(std::memory_order_relaxed) != 0; }
  // The returned item that was put first; it is ours now.
  [[nodiscard]] std::optional<Lease> take_returned();
  [[nodiscard]] std::optional<Lease> take_dead();

  // Under the get lock: the memory of small items behind the last lease goes back to the kernel. False if some is left.
  bool give_back_spare();

  // Where the item is: its bytes, or the block that holds them. Throws ProtocolError.
  struct Item {
    std::span<const std::byte> bytes;
    std::optional<LargeItem> large;
  };
  [[nodiscard]] Item item(const Lease& lease) const;

  // Over. False if it was over before. Not under the get lock.
  bool acknowledge(const Lease& lease);
  // Others may have it, unless it was handed out too often.
  bool give_back(const Lease& lease);

  [[nodiscard]] static std::uint32_t count(const QueueMemory& memory, State state);
  // Of leases that are not over; `returned` ones wait for somebody to take them.
  struct Holders {
    bool me = false, others = false, returned = false;
  };
  [[nodiscard]] Holders holders() const;

  // For root: what is to be done about entries of a dead user; drop_uncommitted() while it still has the get lock from it.
  static void drop_uncommitted(const QueueMemory& memory, Owner dead);
  // Those of which `is_over` are over, and not given back.
  static void give_back_all(const QueueMemory& memory, Owner dead, const std::function<bool(std::uint32_t entry)>& is_over);

 private:
  [[nodiscard]] LeaseHeap& heap() const { return memory_.control().leases; }
  [[nodiscard]] static std::uint32_t used(const QueueMemory& memory) {
    return std::min(memory.control().leases.used.load(std::memory_order_acquire), memory.constants.leases_max);
  }
  [[nodiscard]] static std::uint32_t filled(const QueueMemory& memory) {
    return std::min(memory.control().leases.filled.load(std::memory_order_relaxed), memory.constants.leases_max);
  }
  [[nodiscard]] std::optional<std::uint32_t> free_entry(bool filled);
  void fill(std::uint32_t entry);
  [[nodiscard]] Lease become(std::uint32_t entry, State state, std::uint32_t deliveries);
  [[nodiscard]] std::optional<Lease> take_first(State from, State to);
  static bool settle(const QueueMemory& memory, std::uint32_t entry, std::uint64_t seen, Owner me);
  static bool give_back(const QueueMemory& memory, std::uint32_t entry, std::uint64_t seen, Owner me);
  static void drop_dead_letters(const QueueMemory& memory, Owner me);

  const QueueMemory& memory_;
  Owner me_;
  std::atomic<std::uint32_t> hint_{0};  // an entry that we freed
};

// Each leased item passes through these.

[[gnu::always_inline]] inline bool Leases::hold(std::uint64_t position, std::span<const std::byte> bytes, Lease& lease) {
  std::uint32_t i = hint_.load(std::memory_order_relaxed);
  if (i >= filled(memory_) || memory_.entry(i).state.load(std::memory_order_acquire) != 0) [[unlikely]] {
    const auto found = free_entry(true);
    if (!found) return false;
    i = *found;
  }
  LeaseEntry& entry = memory_.entry(i);
  shared::copy_small(memory_.lease_data(i), bytes.data(), bytes.size());
  entry.position.store(position, std::memory_order_relaxed);
  entry.size.store(bytes.size(), std::memory_order_relaxed);
  entry.block.store(0, std::memory_order_relaxed);
  lease.entry = i;
  lease.state = word_of(State::held, me_, 1);
  entry.state.store(lease.state, std::memory_order_release);
  hint_.store(i + 1, std::memory_order_relaxed);
  return true;
}

// While it is held, nobody but its holder changes it: root only does when that is dead.
[[gnu::always_inline]] inline bool Leases::acknowledge(const Lease& lease) {
  LeaseEntry& entry = memory_.entry(lease.entry);
  if (entry.block.load(std::memory_order_relaxed) != 0) [[unlikely]] {
    if (!settle(memory_, lease.entry, lease.state, me_)) return false;
  } else {
    if (entry.state.load(std::memory_order_relaxed) != lease.state) [[unlikely]] return false;
    entry.state.store(0, std::memory_order_release);
  }
  hint_.store(lease.entry, std::memory_order_relaxed);
  return true;
}

}  // namespace troupe::queue
