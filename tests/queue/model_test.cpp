#include "support/catch.h"

#include <random>
#include <string>

#include "queue/recover.h"
#include "queue_model.h"
#include "queue_support.h"
#include "support/sanitizers.h"

using namespace troupe::queue;
using namespace queue_test;

namespace {

constexpr std::uint32_t kSlots = 3;

void require(bool holds, const char* what) {
  if (!holds) throw std::runtime_error(what);
}

// One random sequence of operations, done by the queue and by the model alike.
class Sequence {
 public:
  Sequence(std::uint64_t seed, Order order)
      : random_(seed), options_(random_options(order)), memory_(make_memory(options_)), model_(options_, memory_->geometry.small_max) {
    for (std::uint32_t slot = 0; slot < kSlots; ++slot) queues_.push_back(std::make_unique<SharedQueue>(memory_, slot));
  }

  void run() {
    for (std::uint64_t steps = 1 + pick(60); steps > 0; --steps) {
      step();
      compare();
    }
    finish();
  }

 private:
  std::uint64_t pick(std::uint64_t below) { return random_() % below; }

  QueueOptions random_options(Order order) {
    const std::uint64_t policies = order == Order::priority ? 3 : 4;
    return {.items_max = pick(4) == 0 ? 0 : 1 + pick(20),
            .bytes_max = pick(4) == 0 ? std::uint64_t{10'000} : 0,
            .overflow = static_cast<Overflow>(pick(policies)),
            .order = order,
            .users_max = kSlots,
            .deliveries_max = static_cast<std::uint32_t>(pick(4)),
            .leases_max = static_cast<std::uint32_t>(pick(3) == 0 ? 4 : 32),
            .memory_max = 1 << 20,
            .segment_shift = 12,
            .segments_kept = static_cast<std::uint32_t>(1 + pick(3)),
            .block_shift = 12};
  }

  Bytes new_item() {
    static constexpr std::size_t kSizes[] = {8, 8, 64, 128, 129, 200, 504, 505, 4096, 9000};
    number_ = options_.order == Order::priority ? pick(5) << 60 : number_ + 1;
    return make_item(number_, kSizes[pick(std::size(kSizes))]);
  }

  SharedQueue& queue() { return *queues_[slot_]; }

  void step() {
    slot_ = static_cast<std::uint32_t>(pick(kSlots));
    switch (pick(16)) {
      case 0: case 1: case 2: case 3: return put();
      case 4: return put_many();
      case 5: case 6: return get();
      case 7: return get_many();
      case 8: case 9: return lease();
      case 10: return lease_many();
      case 11: case 12: return settle(true);
      case 13: return settle(false);
      case 14:
        if (pick(8) == 0) return close();
        return take_dead_letter();
      case 15: return recover_slot();
    }
  }

  void put() {
    const Bytes item = new_item();
    require(queue().put(item, kNow) == model_.put(number_, item.size()), "put");
  }

  void put_many() {
    std::vector<Bytes> items;
    std::vector<std::span<const std::byte>> spans;
    for (std::uint64_t n = 1 + pick(8); n > 0; --n) items.push_back(new_item());
    for (const Bytes& item : items) spans.emplace_back(item);
    std::size_t expected = 0;
    for (; expected < items.size(); ++expected) {
      const PutResult result = model_.put(number_of(items[expected]), items[expected].size());
      if (result == PutResult::full || result == PutResult::closed) break;
    }
    require(queue().put_many(spans, kNow) == expected, "put_many");
  }

  void check_item(std::span<const std::byte> got, const QueueModel::Item& expected) {
    require(got.size() == expected.size && read_item(got) == expected.number, "another item");
  }

  // Calls `take` and says whether the model has something to be taken, too.
  template <class Take>
  bool agree(const QueueModel::Next& next, Take take) {
    const GetResult nothing = model_.ended(slot_) ? GetResult::ended : GetResult::empty;
    try {
      const GetResult result = take();
      require(!next.no_entry, "a lease too many");
      require(result == (next.items.empty() ? nothing : GetResult::item), "result of a get");
    } catch (const std::length_error&) {
      require(next.no_entry, "refused a lease");
      return false;
    }
    if (!next.items.empty()) model_.take(next);
    return !next.items.empty();
  }

  void get() {
    const auto next = model_.next(1, false);
    Bytes item;
    if (agree(next, [&] { return queue().get(item, kNow); })) check_item(item, next.items.front());
  }

  void get_many() {
    const std::size_t most = 1 + pick(6);
    const auto next = model_.next(most, false);
    Items items;
    if (!agree(next, [&] { return queue().get_many(items, most, kNow); })) return;
    require(items.size() == next.items.size(), "another number of items");
    for (std::size_t i = 0; i < items.size(); ++i) check_item(items[i], next.items[i]);
  }

  void hold(const Lease& lease, QueueModel::Item item) {
    ++item.deliveries;
    require(lease.deliveries() == item.deliveries, "another number of deliveries");
    require(model_.held.emplace(lease.entry, QueueModel::Held{item, slot_, false}).second, "an entry that is in use");
    leases_[lease.entry] = lease;
  }

  void lease() {
    const auto next = model_.next(1, true);
    Bytes item;
    Lease lease;
    if (!agree(next, [&] { return queue().lease(item, lease, kNow); })) return;
    check_item(item, next.items.front());
    hold(lease, next.items.front());
  }

  void lease_many() {
    const std::size_t most = 1 + pick(6);
    const auto next = model_.next(most, true);
    Items items;
    std::vector<Lease> leases;
    if (!agree(next, [&] { return queue().lease_many(items, leases, most, kNow); })) return;
    require(items.size() == next.items.size() && leases.size() == items.size(), "another number of items");
    for (std::size_t i = 0; i < items.size(); ++i) {
      check_item(items[i], next.items[i]);
      hold(leases[i], next.items[i]);
    }
  }

  void settle(bool acknowledge) {
    if (model_.held.empty()) return;
    const std::uint32_t entry = std::next(model_.held.begin(), static_cast<std::ptrdiff_t>(pick(model_.held.size())))->first;
    slot_ = model_.held.at(entry).slot;
    const Lease lease = leases_.at(entry);
    require(acknowledge ? queue().acknowledge(lease) : queue().give_back(lease), "a lease that was over");
    if (acknowledge) {
      model_.held.erase(entry);
    } else {
      model_.give_back(entry);
    }
    require(!queue().acknowledge(lease) && !queue().give_back(lease), "a lease that is not over");
  }

  void close() {
    queue().close();
    model_.closed = true;
  }

  void take_dead_letter() {
    Bytes item;
    Lease lease;
    const bool taken = queue().take_dead_letter(item, lease);
    require(taken == !model_.dead.empty(), "dead letter");
    if (!taken) return;
    const auto oldest = model_.dead.begin();
    check_item(item, oldest->second);
    model_.held[lease.entry] = {oldest->second, slot_, true};
    leases_[lease.entry] = lease;
    model_.dead.erase(oldest);
  }

  void recover_slot() {
    recover(*memory_, slot_);
    model_.recover(slot_);
    queues_[slot_] = std::make_unique<SharedQueue>(memory_, slot_);  // who was recovered is gone; another has its slot
  }

  void compare() {
    const Counts counts = queue().counts();
    require(queue().size() == model_.size() && queue().empty() == (model_.size() == 0), "size");
    require(queue().full() == model_.full(), "full");
    require(queue().closed() == model_.closed, "closed");
    require(queue().join(kNow) == model_.is_idle(), "idle");
    require(counts.leased == model_.leased() && counts.returned == model_.returned_count() && counts.dead == model_.dead.size(), "leases");
    require(counts.dropped_newest == model_.dropped_newest && counts.dropped_oldest == model_.dropped_oldest, "dropped");
    require(counts.redelivered == model_.redelivered && counts.quarantined == model_.quarantined, "redelivered");
    require(counts.dead_dropped == model_.dead_dropped, "dead letters dropped");
  }

  // Everything is given back and taken out: nothing may be left over.
  void finish() {
    while (!model_.held.empty()) settle(true);
    while (model_.size() > 0) get();
    while (!model_.dead.empty()) {
      take_dead_letter();
      settle(true);
    }
    compare();
    require(Blocks::used(*memory_) == 0, "blocks in use");
  }

  std::mt19937_64 random_;
  QueueOptions options_;
  std::shared_ptr<const QueueMemory> memory_;
  std::vector<std::unique_ptr<SharedQueue>> queues_;
  QueueModel model_;
  std::map<std::uint32_t, Lease> leases_;
  std::uint64_t number_ = 0;
  std::uint32_t slot_ = 0;
};

void run_sequences(std::uint64_t first_seed, std::uint64_t count, Order order = Order::fifo) {
  for (std::uint64_t seed = first_seed; seed < first_seed + count; ++seed) {
    try {
      Sequence(seed, order).run();
    } catch (const std::exception& error) {
      FAIL("sequence of seed " << seed << ": " << error.what());
    }
  }
}

}  // namespace

// Sanitizers take their time, and see in a part of them what there is to see.
TEST_CASE("the queue does what a plain queue does, in 100,000 random sequences") { run_sequences(1, troupe::test::kSanitized ? 10'000 : 100'000); }

TEST_CASE("with another order it does what a plain sorted list does, in 20,000 random sequences each") {
  for (const Order order : {Order::lifo, Order::priority}) run_sequences(1, troupe::test::kSanitized ? 2'000 : 20'000, order);
}

TEST_CASE("the queue does what a plain queue does, in a million other sequences", "[.][soak]") { run_sequences(1'000'000, 1'000'000); }
