#include "sweep_work.h"

namespace queue_test {
namespace {

constexpr std::uint64_t kKept = 64;  // entries of the 128 that there are

QueueOptions ordered(Order order, QueueOptions options = {}) {
  options.order = order;
  return tiny_options(options);
}
QueueOptions lifo(const QueueOptions& options = {}) { return ordered(Order::lifo, options); }
QueueOptions by_number(const QueueOptions& options = {}) { return ordered(Order::priority, options); }

// From `first` down to `last`.
std::vector<Left> down(std::uint64_t first, std::uint64_t last) {
  std::vector<Left> items;
  for (std::uint64_t i = first; i >= last; --i) items.push_back({i, 1});
  return items;
}

auto prepared(std::uint64_t first, std::uint64_t last) {
  return [=](const Memory& m) { put(m, first, last); };
}
const auto odd = [](const Memory& m) { put(m, 5, 5), put(m, 1, 1), put(m, 3, 3); };
const std::vector<Left> kOdd = one(1) + one(3) + one(5);
const auto none = [](const Memory&) {};

void add_puts(std::vector<Scenario>& all) {
  all.push_back({"last in, first out: put into a new queue", lifo(), none, victim(puts(1, 2)), {{}, {one(1)}, {down(2, 1)}}, one_by_one(2)});
  all.push_back({"by priority: put between others", by_number(), odd, victim(puts(4, 4)), {{kOdd}, {one(1) + range(3, 5)}}, one_by_one(1)});
  all.push_back({"by priority: put before others", by_number(), odd, victim(puts(0, 0)), {{kOdd}, {one(0) + kOdd}}, one_by_one(1)});
  all.push_back({"last in, first out: put where more entries need memory", lifo(), prepared(1, kKept), victim(puts(kKept + 1, kKept + 2)),
                 {{down(kKept, 1)}, {down(kKept + 1, 1)}, {down(kKept + 2, 1)}}, one_by_one(2)});
  all.push_back({"by priority: put large items, then into blocks used before", by_number(),
                 [](const Memory& m) { put(m, 1001, 1003), get(m, 2); }, victim(puts(1001, 1002)),
                 {{one(1003)}, {one(1001) + one(1003)}, {range(1001, 1003)}}, one_by_one(2)});
  all.push_back({"last in, first out: put a batch", lifo(), prepared(1, 2), victim(put_many(3, 5)),
                 {{down(2, 1)}, {down(3, 1)}, {down(4, 1)}, {down(5, 1)}}, {0, 3}});
  all.push_back({"last in, first out: put what does not fit", lifo({.items_max = 3}), prepared(1, 3), victim(puts(4, 4)), {{down(3, 1)}}});
  all.push_back({"by priority: put a large item that does not fit", by_number({.items_max = 3}), prepared(1, 3), victim(puts(1004, 1004)),
                 {{range(1, 3)}}});
  all.push_back({"by priority: drop the newest", by_number({.items_max = 3, .overflow = Overflow::drop_newest}), prepared(1, 3),
                 victim(puts(0, 0)), {{range(1, 3)}}});
  all.push_back({"last in, first out: drop the oldest", lifo({.items_max = 3, .overflow = Overflow::drop_oldest}), prepared(1, 3),
                 victim(puts(4, 4)), {{down(3, 1)}, {down(3, 2)}, {down(4, 2)}}, {0, 2}});
  all.push_back({"last in, first out: drop the oldest, which is large", lifo({.items_max = 2, .overflow = Overflow::drop_oldest}),
                 prepared(1001, 1002), victim(puts(1003, 1003)), {{down(1002, 1001)}, {one(1002)}, {down(1003, 1002)}}, {0, 2}});
}

void add_gets(std::vector<Scenario>& all) {
  all.push_back({"last in, first out: get", lifo(), prepared(1, 5), victim(gets(2)), {{down(5, 1)}, {down(4, 1)}, {down(3, 1)}}, one_by_one(2)});
  all.push_back({"by priority: get", by_number(), [](const Memory& m) { odd(m), put(m, 2, 2), put(m, 7, 9); }, victim(gets(2)),
                 {{range(1, 3) + one(5) + range(7, 9)}, {range(2, 3) + one(5) + range(7, 9)}, {one(3) + one(5) + range(7, 9)}}, one_by_one(2)});
  all.push_back({"last in, first out: get from an empty queue", lifo(), [](const Memory& m) { put(m, 1, 1), get(m, 1); }, victim(gets(1)), {{}}});
  all.push_back({"by priority: get a batch", by_number(), prepared(1, 5), victim(get_many(3)),
                 {{range(1, 5)}, {range(2, 5)}, {range(3, 5)}, {range(4, 5)}}, {0, 3}});
  all.push_back({"last in, first out: get large items", lifo(), prepared(1001, 1003), victim(gets(2)),
                 {{down(1003, 1001)}, {down(1002, 1001)}, {one(1001)}}, one_by_one(2)});
  all.push_back({"last in, first out: get the last of many, whose memory goes back", lifo(),
                 [](const Memory& m) { put(m, 1, kKept + 6), get(m, kKept + 4); }, victim(gets(2)), {{down(2, 1)}, {one(1)}, {}}, one_by_one(2)});
  const auto many = [](const Memory& m) { put(m, 1, 100), put(m, 1001, 1004), get(m, 78); };
  all.push_back({"by priority: get one of many, whereupon the rest moves together", by_number(), many, victim(gets(2)),
                 {{range(79, 100) + range(1001, 1004)}, {range(80, 100) + range(1001, 1004)}, {range(81, 100) + range(1001, 1004)}}, one_by_one(2)});
  all.push_back({"by priority: get what was returned", by_number(), [](const Memory& m) { put(m, 1, 3), lease(m, 2), recover(*m, kCorpse); },
                 victim(gets(2)), {{one(1, 2) + one(2, 2) + one(3)}, {one(2, 2) + one(3)}, {one(3)}}, one_by_one(2)});
}

void add_leases(std::vector<Scenario>& all) {
  const std::vector<Outcome> leased_and_over = {{range(1, 3)}, {one(1, 2) + range(2, 3)}, {range(2, 3)}};
  all.push_back({"by priority: lease and acknowledge", by_number(), prepared(1, 3), victim(leases(true)), leased_and_over, one_by_one(2)});
  all.push_back({"last in, first out: lease and give back", lifo(), prepared(1, 3), victim(leases(false)),
                 {{down(3, 1)}, {one(3, 2) + down(2, 1)}}, {0, 1, 1}});
  all.push_back({"last in, first out: lease a large item and acknowledge", lifo(), prepared(1001, 1003), victim(leases(true)),
                 {{down(1003, 1001)}, {one(1003, 2) + down(1002, 1001)}, {down(1002, 1001)}}, one_by_one(2)});
  const auto put_between = [](SharedQueue& queue, Progress& progress) {
    Bytes bytes;
    Lease held;
    queue.lease(bytes, held, kNow), ++progress.done;
    queue.put(item(2), kNow), ++progress.done;
    queue.give_back(held), ++progress.done;
  };
  all.push_back({"by priority: give back behind what came meanwhile", by_number(), [](const Memory& m) { put(m, 3, 5); }, victim(put_between),
                 {{range(3, 5)}, {one(3, 2) + range(4, 5)}, {one(2) + one(3, 2) + range(4, 5)}}, {0, 1, 2, 2}});
  const auto lease_many = [](SharedQueue& queue, Progress& progress) {
    Items items;
    std::vector<Lease> held;
    queue.lease_many(items, held, 3, kNow);
    ++progress.done;
    for (const Lease& lease : held) queue.acknowledge(lease), ++progress.done;
  };
  all.push_back({"by priority: lease a batch and acknowledge", by_number(), prepared(1, 4), victim(lease_many),
                 {{range(1, 4)},
                  {one(1, 2) + range(2, 4)},
                  {one(1, 2) + one(2, 2) + range(3, 4)},
                  {one(1, 2) + one(2, 2) + one(3, 2) + one(4)},
                  {one(2, 2) + one(3, 2) + one(4)},
                  {one(3, 2) + one(4)},
                  {one(4)}},
                 {0, 3, 4, 5, 6}});
  all.push_back({"last in, first out: lease for the last time", lifo({.deliveries_max = 1}), prepared(1, 3), victim(leases(false)),
                 {{down(3, 1)}, {down(2, 1), {3}}}, {0, 1, 1}});
  const auto dead_letter = [](bool acknowledge) {
    return [=](SharedQueue& queue, Progress& progress) {
      Bytes bytes;
      Lease held;
      static_cast<void>(queue.take_dead_letter(bytes, held));
      acknowledge ? queue.acknowledge(held) : queue.give_back(held);
      ++progress.done;
    };
  };
  const auto dead = [](const Memory& m) { put(m, 1001, 1002), lease(m, 2), recover(*m, kCorpse); };
  all.push_back({"last in, first out: take a dead letter", lifo({.deliveries_max = 1}), dead, victim(dead_letter(true)),
                 {{{}, {1001, 1002}}, {{}, {1002}}}, one_by_one(1)});
  all.push_back({"by priority: give a dead letter back", by_number({.deliveries_max = 1}), dead, victim(dead_letter(false)), {{{}, {1001, 1002}}}});
  const auto dead_letters = [](const Memory& m) { put(m, 1001, 1005), lease(m, 4), recover(*m, kCorpse); };
  all.push_back({"by priority: one dead letter too many", by_number({.deliveries_max = 1}), dead_letters, victim(leases(false)),
                 {{one(1005), {1001, 1002, 1003, 1004}}, {{}, {1001, 1002, 1003, 1004, 1005}}, {{}, {1002, 1003, 1004, 1005}}}, {0, 1, 2}});
}

void add_waits(std::vector<Scenario>& all) {
  const auto close = [](SharedQueue& queue, Progress& progress) { queue.close(), ++progress.done; };
  all.push_back({"last in, first out: close", lifo(), prepared(1, 2), victim(close), {{down(2, 1)}, {down(2, 1), {}, true}}, one_by_one(1)});
  const auto soon = [] { return Clock::now() + std::chrono::microseconds(200); };
  all.push_back({"last in, first out: get in vain until a deadline", lifo(), none, victim([=](SharedQueue& queue, Progress&) {
                   Bytes bytes;
                   queue.get(bytes, soon());
                 }),
                 {{}}});
  all.push_back({"by priority: put in vain until a deadline", by_number({.items_max = 2}), prepared(1, 2),
                 victim([=](SharedQueue& queue, Progress&) { queue.put(item(3), soon()); }), {{range(1, 2)}}});
  all.push_back({"by priority: join in vain until a deadline", by_number(), [](const Memory& m) { put(m, 1, 2), lease(m, 1); },
                 victim([=](SharedQueue& queue, Progress&) { (void)queue.join(soon()); }), {{one(1, 2) + one(2)}}});
}

// One who died in the midst of `work`, with the order half changed: what it left is put right by root, and by who comes next.
void add_recovery(std::vector<Scenario>& all) {
  const auto recovery = [](const Memory& memory, Progress&) { recover(*memory, kCorpse); };
  const auto committed = [](const Memory& m, std::uint64_t puts) { return [=] { return m->control().tail.count > puts; }; };
  const auto taken = [](const Memory& m, std::uint64_t gets) { return [=] { return m->control().head.count > gets; }; };
  all.push_back({"by priority: recover from one who died with leases", by_number(),
                 [](const Memory& m) { put(m, 1, 2), put(m, 1003, 1003), lease(m, 3); }, recovery, {{one(1, 2) + one(2, 2) + one(1003, 2)}}});
  all.push_back({"by priority: recover from one whose leases become dead letters", by_number({.deliveries_max = 1, .leases_max = 4}),
                 [](const Memory& m) { put(m, 1, 1), put(m, 1002, 1004), lease(m, 4); }, recovery, {{{}, {1003, 1004}}}});
  all.push_back({"last in, first out: recover from one who died after the commit of a large put", lifo(),
                 [=](const Memory& m) { put(m, 1, 1), die_when(m, puts(1002, 1002), committed(m, 1)); }, recovery, {{one(1002) + one(1)}}});
  const auto in_a_put = [=](const Memory& m) { put(m, 11, 19), die_when(m, puts(1, 1), committed(m, 9)); };
  all.push_back({"by priority: recover from one who died in a put", by_number(), in_a_put, recovery, {{one(1) + range(11, 19)}}});
  const auto in_a_get = [=](const Memory& m) { put(m, 1, 9), die_when(m, gets(1), taken(m, 0)); };
  all.push_back({"by priority: recover from one who died in a get", by_number(), in_a_get, recovery, {{range(2, 9)}}});
  const auto recovered = [](const auto& death) {
    return [=](const Memory& m) { death(m), recover(*m, kCorpse); };
  };
  all.push_back({"by priority: put after one who died in a put", by_number(), recovered(in_a_put), victim(puts(20, 20)),
                 {{one(1) + range(11, 19)}, {one(1) + range(11, 20)}}, one_by_one(1)});
  all.push_back({"by priority: get after one who died in a get", by_number(), recovered(in_a_get), victim(gets(1)), {{range(2, 9)}, {range(3, 9)}},
                 one_by_one(1)});
  for (std::size_t steps = 50; steps <= 1200; steps += 230) {
    all.push_back({"last in, first out: recover from one who died in a put of a large item, at " + std::to_string(steps), lifo(),
                   [=](const Memory& m) { put(m, 1, 1), die(m, puts(1002, 1002), steps); }, recovery, {{one(1)}}});
    all.back().outcomes.push_back({one(1002) + one(1)});
  }
}

}  // namespace

std::vector<Scenario> ordered_scenarios() {
  std::vector<Scenario> all;
  add_puts(all);
  add_gets(all);
  add_leases(all);
  add_waits(all);
  add_recovery(all);
  return all;
}

}  // namespace queue_test
