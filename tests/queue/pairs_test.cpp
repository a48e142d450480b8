#include "support/catch.h"

#include <algorithm>

#include "support/leftovers.h"
#include "sweep_support.h"

using namespace troupe;
using namespace troupe::queue;
using namespace queue_test;

// Two users killed one after the other, before root sees to either: the first at every change that it makes, the second at every
// change that it makes to what the first has left (or where it sleeps for a lock that the first had).
namespace {

using Memory = std::shared_ptr<const QueueMemory>;

struct Operation {
  std::string name;
  std::size_t gets;  // so many items at most are gone after it
  std::function<void(SharedQueue&, std::uint64_t number)> run;
};

std::vector<Operation> operations() {
  const auto lease = [](SharedQueue& queue, bool acknowledge) {
    Bytes bytes;
    Lease held;
    if (queue.lease(bytes, held, kNow) != GetResult::item) return;
    acknowledge ? queue.acknowledge(held) : queue.give_back(held);
  };
  return {{"put", 0, [](SharedQueue& queue, std::uint64_t number) { queue.put(make_item(number, 64), kNow); }},
          {"put large", 0, [](SharedQueue& queue, std::uint64_t number) { queue.put(make_item(number, 700), kNow); }},
          {"get", 1, [](SharedQueue& queue, std::uint64_t) {
             Bytes bytes;
             (void)queue.get(bytes, kNow);
           }},
          {"lease and acknowledge", 1, [=](SharedQueue& queue, std::uint64_t) { lease(queue, true); }},
          {"lease and give back", 0, [=](SharedQueue& queue, std::uint64_t) { lease(queue, false); }}};
}

// Near the end of a segment, with an item to be redelivered: 51 to 58, of which 52 is large.
constexpr std::uint64_t kFirst = 51, kLast = 58;
void prepare(const Memory& memory) {
  SharedQueue queue(memory, 0), dying(memory, kCorpse);
  Bytes bytes;
  Lease lease;
  for (std::uint64_t i = 1; i <= 50; ++i) queue.put(make_item(i, 64), kNow), (void)queue.get(bytes, kNow);
  for (std::uint64_t i = kFirst; i <= kLast; ++i) queue.put(make_item(i, i == 52 ? 700 : 64), kNow);
  (void)dying.lease(bytes, lease, kNow);
  recover(*memory, kCorpse);
}

std::function<void()> victim(const Memory& memory, const Operation& operation, std::uint32_t slot, std::uint64_t number) {
  return [=] {
    SharedQueue queue(memory, slot);
    test::mark();
    operation.run(queue, number);
    test::mark();
  };
}

std::string check(const Memory& memory, std::size_t gets) {
  try {
    recover(*memory, kVictim);
    recover(*memory, kCorpse);
    const Outcome left = drain_and_check(memory);
    std::uint64_t before = 0, kept = 0;
    for (const Left& item : left.items) {
      if (item.number <= before) return "item " + std::to_string(item.number) + " after " + std::to_string(before);
      before = item.number;
      if (item.number <= kLast) ++kept;
    }
    if (kept + gets < kLast - kFirst + 1) return "lost items: of those put before there are " + std::to_string(kept);
  } catch (const std::exception& error) {
    return error.what();
  }
  return {};
}

// What the first victim leaves, at every point.
std::vector<std::vector<std::byte>> states_after(const Operation& operation, Order order) {
  const auto memory = make_memory(tiny_options({.order = order}));
  prepare(memory);
  const os::Mapping all(memory->descriptor(), memory->geometry.size);
  std::vector<std::vector<std::byte>> states;
  test::look_at_every_change(all.bytes(), victim(memory, operation, kVictim, 101), [&](std::span<std::byte> copy) {
    states.emplace_back(copy.begin(), copy.end());
    return "";
  });
  return states;
}

test::Sweep sweep(const Operation& first, const Operation& second, Order order, std::size_t stride) {
  const auto memory = make_memory(tiny_options({.order = order})), copied = make_memory(tiny_options({.order = order}));
  const os::Mapping all(memory->descriptor(), memory->geometry.size), copied_all(copied->descriptor(), memory->geometry.size);
  test::Sweep sum;
  const auto states = states_after(first, order);
  for (std::size_t i = 0; i < states.size(); i += stride) {
    std::ranges::copy(states[i], all.bytes().begin());
    const auto one = test::look_at_every_change(all.bytes(), victim(memory, second, kCorpse, 102), [&](std::span<std::byte> copy) {
      std::ranges::copy(copy, copied_all.bytes().begin());
      return check(copied, first.gets + second.gets);
    });
    sum.points += one.points;
    sum.failures += one.failures;
    if (sum.first_failure.empty()) sum.first_failure = one.first_failure;
  }
  return sum;
}

// Looks at every so-manieth point of the first one.
void sweep_pairs(Order order, std::size_t stride) {
  if (!test::kStepperWorks) return;
  test::Leftovers leftovers;
  for (const Operation& operation : operations()) {
    SharedQueue rehearsal(make_memory(tiny_options({.order = order})), 0);
    for (std::uint64_t i = 1; i < 60; ++i) rehearsal.put(make_item(i, 700 - 10 * i), kNow), operation.run(rehearsal, i);
  }
  for (const Operation& first : operations()) {
    for (const Operation& second : operations()) {
      const auto found = sweep(first, second, order, stride);
      INFO(first.name << ", then " << second.name << ": " << found.failures << " of " << found.points << ", the first: " << found.first_failure);
      CHECK(found.failures == 0);
      CHECK(found.points > 0);
    }
  }
}

}  // namespace

TEST_CASE("two users killed one after the other leave the queue whole") { sweep_pairs(Order::fifo, 1); }

TEST_CASE("and so do two users of a queue with another order") { sweep_pairs(Order::priority, 5); }

TEST_CASE("and so do they wherever the first is killed", "[.][soak][kill-sweep]") {
  sweep_pairs(Order::priority, 1);
}
