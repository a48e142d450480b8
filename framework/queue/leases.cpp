#include "queue/leases.h"

#include <algorithm>
#include <cstring>

#include <troupe/errors.h>

namespace troupe::queue {
namespace {

using State = Leases::State;

constexpr bool is_held(State state) { return state == State::held || state == State::fetched || state == State::taken; }

// Only one who drops dead letters can come first.
constexpr int kAttemptsMax = 1000;

// Whoever looks before the change looks once more after it.
template <class Change>
void look_again(const QueueMemory& memory, Change change) {
  HalfWord& look = memory.control().leases.look;
  look.store(1, std::memory_order_seq_cst);
  change();
  look.store(1, std::memory_order_seq_cst);
}

template <class Look>
void for_each(const QueueMemory& memory, std::uint32_t used, Look look) {
  for (std::uint32_t i = 0; i < used; ++i) look(i, memory.entry(i).state.load(std::memory_order_seq_cst));
}

}  // namespace

// `with_data`: one for a small item, preferably one that has its memory.
std::optional<std::uint32_t> Leases::free_entry(bool with_data) {
  const auto is_free = [&](std::uint32_t i) { return memory_.entry(i).state.load(std::memory_order_acquire) == 0; };
  const std::uint32_t before = used(memory_), ready = with_data ? std::min(filled(memory_), before) : before;
  const std::uint32_t first = std::min(hint_.load(std::memory_order_relaxed), ready);
  for (std::uint32_t i = first; i < ready; ++i)
    if (is_free(i)) return i;
  for (std::uint32_t i = 0; i < first; ++i)
    if (is_free(i)) return i;
  std::uint32_t next = ready;
  while (next < before && !is_free(next)) ++next;
  if (next == memory_.constants.leases_max) return {};
  if (next == before) {
    os::allocate(memory_.descriptor(), memory_.geometry.entries + next * sizeof(LeaseEntry), sizeof(LeaseEntry));
    if (!is_free(next)) QueueMemory::throw_corrupt("a lease that was never made");
    heap().used.store(next + 1, std::memory_order_release);
  }
  if (with_data) fill(next);
  return next;
}

// Gives memory to the small items of all entries up to this one.
void Leases::fill(std::uint32_t entry) {
  const Geometry& geometry = memory_.geometry;
  const std::uint32_t from = filled(memory_);
  os::allocate(memory_.descriptor(), geometry.lease_data + from * geometry.lease_stride, (entry + 1 - from) * geometry.lease_stride);
  heap().filled.store(entry + 1, std::memory_order_relaxed);
  heap().spare.store(1, std::memory_order_relaxed);
}

// Of an entry that is free, nobody looks at the item.
bool Leases::give_back_spare() {
  const Geometry& geometry = memory_.geometry;
  std::uint32_t end = std::min(filled(memory_), used(memory_));
  while (end > 0 && memory_.entry(end - 1).state.load(std::memory_order_acquire) == 0) --end;
  heap().filled.store(end, std::memory_order_release);
  const std::uint64_t rest = memory_.constants.leases_max - end;
  if (rest > 0) os::punch(memory_.descriptor(), geometry.lease_data + end * geometry.lease_stride, rest * geometry.lease_stride);
  return end == 0;
}

Lease Leases::become(std::uint32_t entry, State state, std::uint32_t deliveries) {
  const Lease lease{entry, word_of(state, me_, deliveries)};
  memory_.entry(entry).state.store(lease.state, std::memory_order_release);
  hint_.store(entry + 1, std::memory_order_relaxed);
  return lease;
}

std::optional<Lease> Leases::hold(std::uint64_t position, const LargeItem& item, State as) {
  const auto i = free_entry(false);
  if (!i) return {};
  LeaseEntry& entry = memory_.entry(*i);
  entry.position.store(position, std::memory_order_relaxed);
  entry.size.store(item.size, std::memory_order_relaxed);
  entry.block.store(item.block, std::memory_order_relaxed);
  return become(*i, as, 1);
}

void Leases::cancel(const Lease& lease) {
  std::uint64_t expected = lease.state;
  memory_.entry(lease.entry).state.compare_exchange_strong(expected, 0, std::memory_order_release);
}

// The flag goes down before the search and up again if that found one; those who return an item set it before and after.
std::optional<Lease> Leases::take_returned() {
  heap().look.exchange(0, std::memory_order_seq_cst);
  auto lease = take_first(State::returned, State::held);
  if (!lease) return {};
  heap().look.store(1, std::memory_order_seq_cst);
  heap().redelivered.fetch_add(1, std::memory_order_relaxed);
  return lease;
}

std::optional<Lease> Leases::take_dead() { return take_first(State::dead, State::taken); }

std::optional<Lease> Leases::take_first(State from, State to) {
  for (int attempt = 0; attempt < kAttemptsMax; ++attempt) {
    std::optional<std::uint32_t> first;
    std::uint64_t first_state = 0, first_position = 0;
    for_each(memory_, used(memory_), [&](std::uint32_t i, std::uint64_t state) {
      if (state_of(state) != from) return;
      const std::uint64_t position = memory_.entry(i).position.load(std::memory_order_relaxed);
      if (first && position >= first_position) return;
      first = i, first_state = state, first_position = position;
    });
    if (!first) return {};
    const std::uint32_t deliveries = deliveries_in(first_state) + (to == State::held ? 1 : 0);
    const Lease lease{*first, word_of(to, me_, deliveries)};
    if (memory_.entry(*first).state.compare_exchange_strong(first_state, lease.state, std::memory_order_seq_cst)) return lease;
  }
  QueueMemory::throw_corrupt("leases that change all the time");
}

Leases::Item Leases::item(const Lease& lease) const {
  const LeaseEntry& entry = memory_.entry(lease.entry);
  const std::uint64_t size = entry.size.load(std::memory_order_relaxed);
  const BlockId block = entry.block.load(std::memory_order_relaxed);
  if (block != 0) return {{}, LargeItem{block, size}};
  if (size > memory_.geometry.small_max) QueueMemory::throw_corrupt("a leased item that is too large");
  return {{memory_.lease_data(lease.entry), size}, {}};
}

// Ends a lease. An item in a block is marked `over` first: whoever is killed then has its block freed by root.
bool Leases::settle(const QueueMemory& memory, std::uint32_t index, std::uint64_t seen, Owner me) {
  LeaseEntry& entry = memory.entry(index);
  const BlockId block = entry.block.load(std::memory_order_relaxed);
  if (block == 0) return entry.state.compare_exchange_strong(seen, 0, std::memory_order_seq_cst);
  const std::uint64_t over = with_state(seen, State::over, me);
  if (seen != over && !entry.state.compare_exchange_strong(seen, over, std::memory_order_seq_cst)) return false;
  Blocks::free(memory, block);
  entry.state.store(0, std::memory_order_seq_cst);
  return true;
}

bool Leases::give_back(const Lease& lease) { return give_back(memory_, lease.entry, lease.state, me_); }

bool Leases::give_back(const QueueMemory& memory, std::uint32_t index, std::uint64_t seen, Owner me) {
  LeaseHeap& heap = memory.control().leases;
  std::atomic<std::uint64_t>& state = memory.entry(index).state;
  const bool was_letter = state_of(seen) == State::taken;
  const State next = was_letter || is_last(memory, seen) ? State::dead : State::returned;
  bool changed = false;
  look_again(memory, [&] { changed = state.compare_exchange_strong(seen, with_state(seen, next, 0), std::memory_order_seq_cst); });
  if (!changed || next == State::returned) return changed;
  if (!was_letter) heap.quarantined.fetch_add(1, std::memory_order_relaxed);
  drop_dead_letters(memory, me);
  return true;
}

// Dead letters that nobody fetches must not fill all entries: the oldest go first.
void Leases::drop_dead_letters(const QueueMemory& memory, Owner me) {
  const std::uint32_t most = memory.constants.dead_max;
  for (std::uint32_t dead = count(memory, State::dead); dead > most; --dead) {
    const auto oldest = Leases(memory, me).take_first(State::dead, State::over);
    if (!oldest) return;
    look_again(memory, [&] { settle(memory, oldest->entry, oldest->state, me); });
    memory.control().leases.dropped.fetch_add(1, std::memory_order_relaxed);
  }
}

std::uint32_t Leases::count(const QueueMemory& memory, State wanted) {
  std::uint32_t count = 0;
  for_each(memory, used(memory), [&](std::uint32_t, std::uint64_t state) { count += state_of(state) == wanted ? 1 : 0; });
  return count;
}

Leases::Holders Leases::holders() const {
  Holders holders;
  for_each(memory_, used(memory_), [&](std::uint32_t, std::uint64_t state) {
    if (state_of(state) == State::held) (owner_in(state) == me_ ? holders.me : holders.others) = true;
    if (state_of(state) == State::returned) holders.returned = true;
  });
  return holders;
}

void Leases::drop_uncommitted(const QueueMemory& memory, Owner dead) {
  const std::uint64_t head = memory.control().head.head.load(std::memory_order_acquire);
  for_each(memory, used(memory), [&](std::uint32_t i, std::uint64_t state) {
    if (!is_held(state_of(state)) || owner_in(state) != dead) return;
    if (memory.entry(i).position.load(std::memory_order_relaxed) >= head) memory.entry(i).state.store(0, std::memory_order_seq_cst);
  });
}

void Leases::give_back_all(const QueueMemory& memory, Owner dead, const std::function<bool(std::uint32_t entry)>& is_over) {
  // A user may have been killed while the flag was down for its search. With another order it held the lock then: see recover.cpp.
  if (!memory.is_ordered()) memory.control().leases.look.store(1, std::memory_order_seq_cst);
  for_each(memory, used(memory), [&](std::uint32_t i, std::uint64_t state) {
    // What is root's own was left by a root that was killed here; there is only one at a time.
    if (owner_in(state) != dead && owner_in(state) != kRootOwner) return;
    switch (state_of(state)) {
      case State::held:
      case State::taken:
        if (!is_over(i)) {
          give_back(memory, i, state, kRootOwner);
          break;
        }
        [[fallthrough]];
      case State::fetched:
      case State::over: look_again(memory, [&] { settle(memory, i, state, kRootOwner); }); break;
      case State::queued:
      case State::free:
      case State::returned:
      case State::dead: break;
    }
  });
  drop_dead_letters(memory, kRootOwner);
}

}  // namespace troupe::queue
