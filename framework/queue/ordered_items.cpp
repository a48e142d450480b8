#include "queue/ordered_items.h"

#include <algorithm>
#include <cstring>
#include <tuple>

#include <troupe/errors.h>

namespace troupe::queue {
namespace {

using State = Leases::State;

constexpr std::uint32_t kChunk = 64;     // entries that get their memory together
constexpr std::uint32_t kBeingMade = 2;  // LeaseHeap::look while all is made anew

// By whoever has the lock: nobody else writes to it.
template <class T>
void add(std::atomic<T>& word, std::uint64_t more) {
  word.store(static_cast<T>(word.load(std::memory_order_relaxed) + more), std::memory_order_release);
}

std::uint64_t priority_of(std::span<const std::byte> bytes) {
  std::uint64_t priority = 0;
  std::memcpy(&priority, bytes.data(), std::min(bytes.size(), sizeof priority));
  return priority;
}

bool waits(State state) { return state == State::queued || state == State::returned; }

std::uint32_t up_to_chunk(std::uint32_t entries) { return (entries + kChunk - 1) / kChunk * kChunk; }

}  // namespace

// Seen without the lock.

bool OrderedItems::is_stale(const QueueMemory& memory) { return memory.control().leases.look.load(std::memory_order_seq_cst) != 0; }
std::uint32_t OrderedItems::waiting(const QueueMemory& memory) {
  return memory.control().order.waiting.load(std::memory_order_seq_cst);
}
std::uint32_t OrderedItems::live(const QueueMemory& memory) { return memory.control().order.live.load(std::memory_order_seq_cst); }

bool OrderedItems::may_have_room(const QueueMemory& memory, std::uint64_t size) {
  const Constants& c = memory.constants;
  const std::uint64_t bytes = memory.control().order.bytes.load(std::memory_order_acquire);
  return (c.items_max == 0 || waiting(memory) < c.items_max) &&
         (c.bytes_max == 0 || bytes + std::max<std::uint64_t>(size, 1) <= c.bytes_max);
}

// The order: a heap, and behind it the free entries.

OrderedItems::Counts OrderedItems::counts() const {
  const Counts counts{heap().waiting.load(std::memory_order_relaxed), heap().listed.load(std::memory_order_relaxed),
                      memory_.control().leases.used.load(std::memory_order_relaxed)};
  if (counts.waiting > counts.listed || counts.listed > counts.used || counts.used > memory_.constants.leases_max) [[unlikely]] {
    QueueMemory::throw_corrupt("the counts of an order");
  }
  return counts;
}

HalfWord& OrderedItems::ordered(std::uint32_t index) const {
  if (index >= memory_.constants.leases_max) [[unlikely]] QueueMemory::throw_corrupt("the counts of an order");
  return memory_.ordered(index);
}

std::uint32_t OrderedItems::at(std::uint32_t index) const {
  const std::uint32_t entry = ordered(index).load(std::memory_order_relaxed);
  if (entry >= memory_.constants.leases_max) [[unlikely]] QueueMemory::throw_corrupt("an order");
  return entry;
}

bool OrderedItems::is_before(std::uint32_t a, std::uint32_t b) const {
  const auto key = [&](std::uint32_t i) {
    const LeaseEntry& entry = memory_.entry(i);
    return std::tuple(entry.priority.load(std::memory_order_relaxed), entry.position.load(std::memory_order_relaxed));
  };
  return key(a) < key(b);
}

void OrderedItems::sift_up(std::uint32_t index) const {
  const std::uint32_t entry = at(index);
  while (index > 0) {
    const std::uint32_t parent = (index - 1) / 2;
    if (!is_before(entry, at(parent))) break;
    place(index, at(parent));
    index = parent;
  }
  place(index, entry);
}

void OrderedItems::sift_down(std::uint32_t index, std::uint32_t count) const {
  const std::uint32_t entry = at(index);
  for (;;) {
    std::uint32_t child = 2 * index + 1;
    if (child >= count) break;
    if (child + 1 < count && is_before(at(child + 1), at(child))) ++child;
    if (!is_before(at(child), entry)) break;
    place(index, at(child));
    index = child;
  }
  place(index, entry);
}

// From the heap; what was its last place is free to be overwritten.
std::uint32_t OrderedItems::remove(std::uint32_t index) const {
  const std::uint32_t last = counts().waiting - 1;
  const std::uint32_t entry = at(index);
  if (index != last) {
    place(index, at(last));
    sift_down(index, last);
    sift_up(index);
  }
  heap().waiting.store(last, std::memory_order_release);
  return entry;
}

// Counts one more free entry, which is listed; gives memory back where most of it is unused.
void OrderedItems::note_free() const {
  const Counts c = counts();
  const std::uint32_t freed = heap().freed.load(std::memory_order_relaxed) + 1;
  heap().freed.store(freed, std::memory_order_relaxed);
  const std::uint32_t in_use = c.used - (c.listed - c.waiting);
  if (c.used > memory_.geometry.entries_kept && (in_use == 0 || (in_use < c.used / 4 && freed >= c.used / 2))) rebuild(memory_.geometry.entries_kept);
}

void OrderedItems::list_free(std::uint32_t entry) const {
  const Counts c = counts();
  if (c.listed == c.used) QueueMemory::throw_corrupt("more free entries than there are");
  place(c.listed, entry);
  heap().listed.store(c.listed + 1, std::memory_order_release);
  note_free();
}

// One more entry, free; false if there are no more.
bool OrderedItems::grow(const Counts& c) const {
  const Geometry& geometry = memory_.geometry;
  if (c.used == memory_.constants.leases_max) return false;
  if (c.used >= heap().allocated.load(std::memory_order_relaxed)) {
    memory_.control().leases.spare.store(1, std::memory_order_relaxed);
    const std::uint32_t count = std::min(up_to_chunk(c.used + 1), memory_.constants.leases_max) - c.used;
    os::allocate(memory_.descriptor(), geometry.entries + c.used * sizeof(LeaseEntry), count * sizeof(LeaseEntry));
    os::allocate(memory_.descriptor(), geometry.lease_data + c.used * geometry.lease_stride, count * geometry.lease_stride);
    os::allocate(memory_.descriptor(), geometry.order + c.used * sizeof(HalfWord), count * sizeof(HalfWord));
    heap().allocated.store(c.used + count, std::memory_order_release);
  }
  place(c.listed, c.used);
  memory_.control().leases.used.store(c.used + 1, std::memory_order_release);
  heap().listed.store(c.listed + 1, std::memory_order_release);
  return true;
}

// Items.

bool OrderedItems::put(std::span<const std::byte> bytes, BlockId block) const {
  refresh();
  if (!may_have_room(memory_, bytes.size())) return false;
  ControlArea& control = memory_.control();
  const std::uint64_t number = control.tail.count.load(std::memory_order_relaxed);
  const std::uint64_t priority = memory_.constants.order == Order::lifo ? ~number : priority_of(bytes);
  const Counts c = counts();
  if (c.waiting == c.listed && !grow(c)) return false;
  const std::uint32_t index = at(c.waiting);
  LeaseEntry& entry = memory_.entry(index);
  if (entry.state.load(std::memory_order_relaxed) != 0) QueueMemory::throw_corrupt("a free entry that is in use");
  entry.position.store(number, std::memory_order_relaxed);
  entry.size.store(bytes.size(), std::memory_order_relaxed);
  entry.block.store(block, std::memory_order_relaxed);
  entry.priority.store(priority, std::memory_order_relaxed);
  if (block == 0) {
    if (!bytes.empty()) std::memcpy(memory_.lease_data(index), bytes.data(), bytes.size());
  } else {
    control.put.stage_entry.store(index, std::memory_order_release);
    control.put.stage_block.store(block, std::memory_order_release);
  }
  entry.state.store(Leases::word_of(State::queued, 0, 0), std::memory_order_seq_cst);  // commits
  if (block != 0) Blocks::mark_queued(memory_, block);
  add(control.tail.count, 1);
  add(heap().bytes, bytes.size());
  add(heap().live, 1);
  heap().waiting.store(c.waiting + 1, std::memory_order_release);
  sift_up(c.waiting);
  return true;
}

OrderedItems::Item OrderedItems::waiting_at(std::uint32_t index) const {
  const std::uint32_t i = at(index);
  const LeaseEntry& entry = memory_.entry(i);
  const Item item{i, entry.state.load(std::memory_order_acquire), entry.size.load(std::memory_order_relaxed),
                  entry.block.load(std::memory_order_relaxed)};
  if (!waits(Leases::state_of(item.state))) QueueMemory::throw_corrupt("an order of items that do not wait");
  if (item.block == 0 && item.size > memory_.geometry.small_max) QueueMemory::throw_corrupt("an item that is too large");
  return item;
}

std::optional<OrderedItems::Item> OrderedItems::first() const {
  refresh();
  if (counts().waiting == 0) return {};
  return waiting_at(0);
}

std::span<const std::byte> OrderedItems::bytes(const Item& item) const { return {memory_.lease_data(item.entry), item.size}; }

// It does not wait any more.
void OrderedItems::leave(const Item& item) const {
  if (Leases::state_of(item.state) == State::queued) add(memory_.control().head.count, 1);
  add(heap().bytes, 0 - item.size);
}

void OrderedItems::take(const Item& first) const {
  memory_.entry(first.entry).state.store(0, std::memory_order_seq_cst);  // commits
  leave(first);
  if (Leases::state_of(first.state) == State::returned) add(memory_.control().leases.redelivered, 1);
  add(heap().live, std::uint64_t{0} - 1);
  const std::uint32_t entry = remove(0);
  place(heap().waiting.load(std::memory_order_relaxed), entry);
  note_free();
}

Lease OrderedItems::hold(const Item& first, State as) const {
  const Lease lease{first.entry, Leases::word_of(as, me_, Leases::deliveries_in(first.state) + 1)};
  memory_.entry(first.entry).state.store(lease.state, std::memory_order_seq_cst);  // commits
  leave(first);
  if (Leases::state_of(first.state) == State::returned) add(memory_.control().leases.redelivered, 1);
  static_cast<void>(remove(0));
  const Counts c = counts();
  if (c.waiting + 1 < c.listed) place(c.waiting, at(c.listed - 1));
  heap().listed.store(c.listed - 1, std::memory_order_release);
  return lease;
}

// A heap does not know its last one, only that it is among the leaves.
bool OrderedItems::drop_last() const {
  refresh();
  const Counts c = counts();
  if (c.waiting == 0) return false;
  std::uint32_t last = c.waiting / 2;
  for (std::uint32_t i = last + 1; i < c.waiting; ++i)
    if (is_before(at(last), at(i))) last = i;
  const Item item = waiting_at(last);
  std::atomic<std::uint64_t>& state = memory_.entry(item.entry).state;
  if (item.block != 0) {
    state.store(Leases::with_state(item.state, State::over, me_), std::memory_order_seq_cst);
    Blocks::free(memory_, item.block);
  }
  state.store(0, std::memory_order_seq_cst);
  leave(item);
  add(memory_.control().head.dropped, 1);
  add(heap().live, std::uint64_t{0} - 1);
  const std::uint32_t entry = remove(last);
  place(heap().waiting.load(std::memory_order_relaxed), entry);
  note_free();
  return true;
}

std::optional<BlockId> OrderedItems::acknowledge(const Lease& lease) const {
  if (lease.state == 0) return {};
  refresh();
  LeaseEntry& entry = memory_.entry(lease.entry);
  const BlockId block = entry.block.load(std::memory_order_relaxed);
  const std::uint64_t next = block == 0 ? 0 : Leases::with_state(lease.state, State::over, me_);
  std::uint64_t seen = lease.state;
  if (!entry.state.compare_exchange_strong(seen, next, std::memory_order_seq_cst)) return {};
  if (Leases::state_of(lease.state) != State::taken) add(heap().live, std::uint64_t{0} - 1);
  if (block == 0) list_free(lease.entry);
  return block;
}

void OrderedItems::free_entry(std::uint32_t entry) const {
  refresh();
  memory_.entry(entry).state.store(0, std::memory_order_seq_cst);
  list_free(entry);
}

bool OrderedItems::give_back(const Lease& lease) const {
  if (lease.state == 0) return false;
  refresh();
  if (Leases::state_of(lease.state) == State::taken || Leases::is_last(memory_, lease.state)) {
    return Leases(memory_, me_).give_back(lease);
  }
  LeaseEntry& entry = memory_.entry(lease.entry);
  std::uint64_t seen = lease.state;
  const std::uint64_t next = Leases::with_state(seen, State::returned, 0);
  if (!entry.state.compare_exchange_strong(seen, next, std::memory_order_seq_cst)) return false;
  const Counts c = counts();
  if (c.listed == c.used) QueueMemory::throw_corrupt("more items than entries");
  if (c.waiting < c.listed) place(c.listed, at(c.waiting));
  place(c.waiting, lease.entry);
  heap().listed.store(c.listed + 1, std::memory_order_release);
  heap().waiting.store(c.waiting + 1, std::memory_order_release);
  add(heap().bytes, entry.size.load(std::memory_order_relaxed));
  sift_up(c.waiting);
  return true;
}

// From the states.

struct OrderedItems::Census {
  std::uint32_t waiting = 0, fresh = 0, live = 0, end = 0;
  std::uint64_t bytes = 0, next = 0;
};

void OrderedItems::refresh() const {
  if (is_stale(memory_)) [[unlikely]] rebuild(memory_.geometry.entries_kept);
}

// Also what one that was killed had just made.
bool OrderedItems::give_back_spare() const {
  rebuild(kChunk);
  return memory_.control().leases.used.load(std::memory_order_relaxed) <= kChunk;
}

// The flag changes before the states are looked at: root sets it again after it changed one. It goes down at the end, lest somebody
// without the lock believes the old counts, and sleeps. Of the free entries, the first `keep` keep their memory.
void OrderedItems::rebuild(std::uint32_t keep) const {
  ControlArea& control = memory_.control();
  control.leases.look.exchange(kBeingMade, std::memory_order_seq_cst);
  const std::uint32_t before = control.leases.used.load(std::memory_order_relaxed);
  // Entries without memory are not to be looked at: that would give it to them.
  if (before > std::min(heap().allocated.load(std::memory_order_relaxed), memory_.constants.leases_max))
    QueueMemory::throw_corrupt("the counts of an order");
  finish_move();
  if (before > keep) compact(before);
  const Census census = take_census(before);
  for (std::uint32_t i = census.waiting / 2; i-- > 0;) sift_down(i, census.waiting);
  const std::uint64_t put = std::max(control.tail.count.load(std::memory_order_relaxed), census.next);
  control.tail.count.store(put, std::memory_order_release);
  control.head.count.store(put - census.fresh, std::memory_order_release);
  heap().waiting.store(census.waiting, std::memory_order_release);
  heap().live.store(census.live, std::memory_order_release);
  heap().bytes.store(census.bytes, std::memory_order_release);
  heap().freed.store(0, std::memory_order_relaxed);
  const std::uint32_t used = std::max(census.end, std::min(before, keep));
  list_all_free(census.waiting, used);
  control.leases.used.store(used, std::memory_order_release);
  give_back_memory(std::max(used, keep));
  std::uint32_t seen = kBeingMade;
  control.leases.look.compare_exchange_strong(seen, 0, std::memory_order_seq_cst);
}

State OrderedItems::state_of(std::uint32_t entry) const {
  return Leases::state_of(memory_.entry(entry).state.load(std::memory_order_seq_cst));
}

// Items from the end go to free entries at the beginning, so that the memory behind them can be given back.
void OrderedItems::compact(std::uint32_t used) const {
  std::uint32_t low = 0;
  for (std::uint32_t high = used; high-- > 0;) {
    if (!waits(state_of(high))) continue;
    while (low < high && state_of(low) != State::free) ++low;
    if (low == high) return;
    move(high, low);
  }
}

// Who is killed between the two states leaves the item in two entries: no other two have the same position.
void OrderedItems::move(std::uint32_t from, std::uint32_t to) const {
  LeaseEntry& old_entry = memory_.entry(from);
  LeaseEntry& entry = memory_.entry(to);
  for (const auto word : {&LeaseEntry::position, &LeaseEntry::size, &LeaseEntry::block, &LeaseEntry::priority}) {
    (entry.*word).store((old_entry.*word).load(std::memory_order_relaxed), std::memory_order_relaxed);
  }
  std::memcpy(memory_.lease_data(to), memory_.lease_data(from), memory_.geometry.small_max);
  heap().move_from.store(from, std::memory_order_release);
  heap().move_to.store(to, std::memory_order_release);
  entry.state.store(old_entry.state.load(std::memory_order_relaxed), std::memory_order_seq_cst);
  old_entry.state.store(0, std::memory_order_seq_cst);
}

void OrderedItems::finish_move() const {
  const std::uint32_t from = heap().move_from.load(std::memory_order_acquire);
  const std::uint32_t to = heap().move_to.load(std::memory_order_acquire);
  if (from == to || std::max(from, to) >= memory_.constants.leases_max) return;
  LeaseEntry& entry = memory_.entry(from);
  const bool is_same = entry.position.load(std::memory_order_relaxed) == memory_.entry(to).position.load(std::memory_order_relaxed);
  if (is_same && waits(state_of(from)) && waits(state_of(to))) entry.state.store(0, std::memory_order_seq_cst);
}

OrderedItems::Census OrderedItems::take_census(std::uint32_t used) const {
  Census census;
  for (std::uint32_t i = 0; i < used; ++i) {
    const LeaseEntry& entry = memory_.entry(i);
    const State state = Leases::state_of(entry.state.load(std::memory_order_seq_cst));
    if (state == State::free) continue;
    census.end = i + 1;
    census.next = std::max(census.next, entry.position.load(std::memory_order_relaxed) + 1);
    census.live += waits(state) || state == State::held || state == State::fetched ? 1 : 0;
    census.fresh += state == State::queued ? 1 : 0;
    if (!waits(state)) continue;
    census.bytes += entry.size.load(std::memory_order_relaxed);
    place(census.waiting++, i);
  }
  return census;
}

// The lowest first: so that new items lie where the memory is kept.
void OrderedItems::list_all_free(std::uint32_t waiting, std::uint32_t used) const {
  std::uint32_t listed = waiting;
  for (std::uint32_t i = 0; i < used; ++i) {
    if (memory_.entry(i).state.load(std::memory_order_seq_cst) != 0) continue;
    if (listed == used) QueueMemory::throw_corrupt("more entries than there are");
    place(listed++, i);
  }
  heap().listed.store(listed, std::memory_order_release);
}

// What the kernel does not let go stays for the next items.
void OrderedItems::give_back_memory(std::uint32_t least) const {
  const Geometry& geometry = memory_.geometry;
  const std::uint32_t all = memory_.constants.leases_max;
  const std::uint32_t keep = std::min(up_to_chunk(least), all);
  heap().allocated.store(std::min(heap().allocated.load(std::memory_order_relaxed), keep), std::memory_order_release);
  if (keep == all) return;
  try {
    const std::uint64_t rest = all - keep;
    os::punch(memory_.descriptor(), geometry.entries + keep * sizeof(LeaseEntry), rest * sizeof(LeaseEntry));
    os::punch(memory_.descriptor(), geometry.lease_data + keep * geometry.lease_stride, rest * geometry.lease_stride);
    os::punch(memory_.descriptor(), geometry.order + keep * sizeof(HalfWord), rest * sizeof(HalfWord));
  } catch (const SystemError&) {
  }
}

// Where the item was put, its block is a queued one: else it would be freed with all that the dead was writing.
void OrderedItems::finish(const QueueMemory& memory) {
  const PutSide& put = memory.control().put;
  const std::uint64_t index = put.stage_entry.load(std::memory_order_acquire);
  const BlockId block = put.stage_block.load(std::memory_order_acquire);
  if (block == 0 || index >= memory.constants.leases_max) return;
  const LeaseEntry& entry = memory.entry(static_cast<std::uint32_t>(index));
  const bool is_put = Leases::state_of(entry.state.load(std::memory_order_acquire)) == State::queued;
  if (is_put && entry.block.load(std::memory_order_relaxed) == block) Blocks::mark_queued(memory, block);
}

}  // namespace troupe::queue
