#include "sweep_work.h"

using namespace troupe;
using namespace troupe::queue;

namespace queue_test {
namespace {

void add_puts(std::vector<Scenario>& all) {
  const auto none = [](const Memory&) {};
  all.push_back({"put into a new queue", tiny_options(), none, victim(puts(1, 2)),
                 {{}, {range(1, 1)}, {range(1, 2)}}, one_by_one(2)});
  all.push_back({"put past the end of a segment", tiny_options(), [](const Memory& m) { put(m, 1, kPerSegment - 1); },
                 victim(puts(kPerSegment, kPerSegment + 1)),
                 {{range(1, kPerSegment - 1)}, {range(1, kPerSegment)}, {range(1, kPerSegment + 1)}}, one_by_one(2)});
  const auto hot = [](const Memory& m) { put(m, 1, 2 * kPerSegment + 1), get(m, 2 * kPerSegment), put(m, 1, kPerSegment - 1); };
  all.push_back({"put into a hot segment", tiny_options(), hot, victim(puts(201, 201)),
                 {{one(2 * kPerSegment + 1) + range(1, kPerSegment - 1)}, {one(2 * kPerSegment + 1) + range(1, kPerSegment - 1) + one(201)}},
                 one_by_one(1)});
  const auto cold = [](const Memory& m) { put(m, 1, 3 * kPerSegment + 1), get(m, 3 * kPerSegment), put(m, 1, 2 * kPerSegment - 1); };
  all.push_back({"put into a cold segment", tiny_options(), cold, victim(puts(201, 201)),
                 {{one(3 * kPerSegment + 1) + range(1, 2 * kPerSegment - 1)},
                  {one(3 * kPerSegment + 1) + range(1, 2 * kPerSegment - 1) + one(201)}}, one_by_one(1)});
  all.push_back({"put a batch past the end of a segment", tiny_options(), [](const Memory& m) { put(m, 1, kPerSegment - 3); },
                 victim(put_many(kPerSegment - 2, kPerSegment + 5)), {{range(1, kPerSegment - 3)}, {range(1, kPerSegment + 5)}}, one_by_one(1)});
  all.push_back({"put large items, then into blocks used before", tiny_options(), [](const Memory& m) { put(m, 1001, 1002), get(m, 1); },
                 victim(puts(1003, 1005)),
                 {{range(1002, 1002)}, {range(1002, 1003)}, {range(1002, 1004)}, {range(1002, 1005)}}, one_by_one(3)});
  all.push_back({"put what does not fit", tiny_options({.items_max = 3}), [](const Memory& m) { put(m, 1, 3); }, victim(puts(4, 4)), {{range(1, 3)}}});
  all.push_back({"put a large item that does not fit", tiny_options({.items_max = 3}), [](const Memory& m) { put(m, 1, 3); },
                 victim(puts(1004, 1004)), {{range(1, 3)}}});
  all.push_back({"drop the newest", tiny_options({.items_max = 3, .overflow = Overflow::drop_newest}), [](const Memory& m) { put(m, 1, 3); },
                 victim(puts(4, 4)), {{range(1, 3)}}});
  all.push_back({"drop the oldest", tiny_options({.items_max = 3, .overflow = Overflow::drop_oldest}), [](const Memory& m) { put(m, 1, 3); },
                 victim(puts(4, 4)), {{range(1, 3)}, {range(2, 3)}, {range(2, 4)}}, {0, 2}});
  all.push_back({"drop the oldest, which is large", tiny_options({.items_max = 2, .overflow = Overflow::drop_oldest}),
                 [](const Memory& m) { put(m, 1001, 1002); }, victim(puts(1003, 1003)),
                 {{range(1001, 1002)}, {range(1002, 1002)}, {range(1002, 1003)}}, {0, 2}});
}

void add_gets(std::vector<Scenario>& all) {
  all.push_back({"get", tiny_options(), [](const Memory& m) { put(m, 1, 3); }, victim(gets(2)), {{range(1, 3)}, {range(2, 3)}, {range(3, 3)}},
                 one_by_one(2)});
  all.push_back({"get from an empty queue", tiny_options(), [](const Memory& m) { put(m, 1, 1), get(m, 1); }, victim(gets(1)), {{}}});
  const auto two = [](const Memory& m) { put(m, 1, kPerSegment + 2), get(m, kPerSegment - 1); };
  all.push_back({"get the last item of a segment", tiny_options(), two, victim(gets(2)),
                 {{range(kPerSegment, kPerSegment + 2)}, {range(kPerSegment + 1, kPerSegment + 2)}, {range(kPerSegment + 2, kPerSegment + 2)}},
                 one_by_one(2)});
  const auto many = [](const Memory& m) { put(m, 1, 3 * kPerSegment), get(m, 2 * kPerSegment - 1); };
  all.push_back({"get the last item of a segment whose memory goes back", tiny_options(), many, victim(gets(2)),
                 {{range(2 * kPerSegment, 3 * kPerSegment)}, {range(2 * kPerSegment + 1, 3 * kPerSegment)}, {range(2 * kPerSegment + 2, 3 * kPerSegment)}},
                 one_by_one(2)});
  all.push_back({"get a batch past the end of two segments", tiny_options(), [](const Memory& m) { put(m, 1, 2 * kPerSegment + 9); },
                 victim(get_many(2 * kPerSegment + 3)),
                 {{range(1, 2 * kPerSegment + 9)}, {range(2 * kPerSegment + 4, 2 * kPerSegment + 9)}}, one_by_one(1)});
  all.push_back({"get a large item", tiny_options(), [](const Memory& m) { put(m, 1001, 1003); }, victim(gets(2)),
                 {{range(1001, 1003)}, {range(1002, 1003)}, {range(1003, 1003)}}, one_by_one(2)});
  all.push_back({"get a large item without an entry", tiny_options({.leases_max = 1}), [](const Memory& m) { put(m, 1001, 1003), lease(m, 1); },
                 victim(gets(2)), {{one(1001, 2) + range(1002, 1003)}, {one(1001, 2) + one(1003)}, {one(1001, 2)}}, one_by_one(2)});
  all.push_back({"get what was returned", tiny_options(), [](const Memory& m) { put(m, 1, 3), lease(m, 2), recover(*m, kCorpse); }, victim(gets(2)),
                 {{one(1, 2) + one(2, 2) + one(3)}, {one(1, 3) + one(2, 2) + one(3)}, {one(2, 2) + one(3)}, {one(2, 3) + one(3)}, {one(3)}}, {0, 2, 4}});
}

// So often that the victim keeps the lock, and goes on with it.
void add_kept(std::vector<Scenario>& all) {
  constexpr std::uint64_t kOften = 12;
  std::vector<Outcome> first, last;
  for (std::uint64_t i = 0; i <= kOften; ++i) first.push_back({range(1, i)}), last.push_back({range(i + 1, kOften)});
  all.push_back({"put often", tiny_options(), [](const Memory&) {}, victim(puts(1, kOften)), first, one_by_one(kOften)});
  all.push_back({"get often", tiny_options(), [](const Memory& m) { put(m, 1, kOften); }, victim(gets(kOften)), last, one_by_one(kOften)});
  const auto get_and_join = [](SharedQueue& queue, Progress& progress) {
    gets(kOften)(queue, progress);
    Bytes bytes;
    queue.get(bytes, Clock::now() + std::chrono::microseconds(200));
    (void)queue.join(kNow);
  };
  all.push_back({"get often, and once in vain", tiny_options(), [](const Memory& m) { put(m, 1, kOften); }, victim(get_and_join), last,
                 one_by_one(kOften)});
}

void add_leases(std::vector<Scenario>& all) {
  const auto three = [](const Memory& m) { put(m, 1, 3); };
  const std::vector<Outcome> leased_and_over = {{range(1, 3)}, {one(1, 2) + range(2, 3)}, {range(2, 3)}};
  all.push_back({"lease and acknowledge", tiny_options(), three, victim(leases(true)), leased_and_over, one_by_one(2)});
  all.push_back({"lease and give back", tiny_options(), three, victim(leases(false)), {{range(1, 3)}, {one(1, 2) + range(2, 3)}}, {0, 1, 1}});
  all.push_back({"lease a large item and acknowledge", tiny_options(), [](const Memory& m) { put(m, 1001, 1003); }, victim(leases(true)),
                 {{range(1001, 1003)}, {one(1001, 2) + range(1002, 1003)}, {range(1002, 1003)}}, one_by_one(2)});
  all.push_back({"lease what was returned and acknowledge", tiny_options(), [](const Memory& m) { put(m, 1, 3), lease(m, 2), recover(*m, kCorpse); },
                 victim(leases(true)),
                 {{one(1, 2) + one(2, 2) + one(3)}, {one(1, 3) + one(2, 2) + one(3)}, {one(2, 2) + one(3)}}, one_by_one(2)});
  const auto lease_many = [](SharedQueue& queue, Progress& progress) {
    Items items;
    std::vector<Lease> held;
    queue.lease_many(items, held, 3, kNow);
    ++progress.done;
    for (const Lease& lease : held) queue.acknowledge(lease), ++progress.done;
  };
  all.push_back({"lease a batch and acknowledge", tiny_options(), [](const Memory& m) { put(m, 1, 4); }, victim(lease_many),
                 {{range(1, 4)}, {one(1, 2) + one(2, 2) + one(3, 2) + one(4)}, {one(2, 2) + one(3, 2) + one(4)}, {one(3, 2) + one(4)}, {one(4)}},
                 one_by_one(4)});
  all.push_back({"lease for the last time", tiny_options({.deliveries_max = 1}), three, victim(leases(false)), {{range(1, 3)}, {range(2, 3), {1}}}, {0, 1, 1}});
  const auto dead_letter = [](bool acknowledge) {
    return [=](SharedQueue& queue, Progress& progress) {
      Bytes bytes;
      Lease held;
      queue.take_dead_letter(bytes, held);
      acknowledge ? queue.acknowledge(held) : queue.give_back(held);
      ++progress.done;
    };
  };
  const auto dead = [](const Memory& m) { put(m, 1001, 1002), lease(m, 2), recover(*m, kCorpse); };
  all.push_back({"take a dead letter", tiny_options({.deliveries_max = 1}), dead, victim(dead_letter(true)), {{{}, {1001, 1002}}, {{}, {1002}}}, one_by_one(1)});
  all.push_back({"give a dead letter back", tiny_options({.deliveries_max = 1}), dead, victim(dead_letter(false)), {{{}, {1001, 1002}}}});
}

void add_waits(std::vector<Scenario>& all) {
  const auto close = [](SharedQueue& queue, Progress& progress) { queue.close(), ++progress.done; };
  all.push_back({"close", tiny_options(), [](const Memory& m) { put(m, 1, 2); }, victim(close),
                 {{range(1, 2)}, {range(1, 2), {}, true}}, one_by_one(1)});
  const auto soon = [] { return Clock::now() + std::chrono::microseconds(200); };
  const auto late_get = [=](SharedQueue& queue, Progress&) {
    Bytes bytes;
    queue.get(bytes, soon());
  };
  all.push_back({"get in vain until a deadline", tiny_options(), [](const Memory&) {}, victim(late_get), {{}}});
  all.push_back({"put in vain until a deadline", tiny_options({.items_max = 2}), [](const Memory& m) { put(m, 1, 2); },
                 victim([=](SharedQueue& queue, Progress&) { queue.put(item(3), soon()); }), {{range(1, 2)}}});
  all.push_back({"join in vain until a deadline", tiny_options(), [](const Memory& m) { put(m, 1, 2), lease(m, 1); },
                 victim([=](SharedQueue& queue, Progress&) { (void)queue.join(soon()); }), {{one(1, 2) + one(2)}}});
}

// Who finds the end, or waits for long, gives back what was kept for the next items: segments, blocks, small leased items.
void add_spare(std::vector<Scenario>& all) {
  const auto drained = [](const Memory& m) {
    put(m, 1, 2 * kPerSegment + 1), put(m, 1001, 1002);
    SharedQueue queue(m, 0);
    Items items;
    std::vector<Lease> held;
    queue.lease_many(items, held, 3, kNow);
    for (const Lease& lease : held) queue.acknowledge(lease);
    get(m, 2 * kPerSegment);
  };
  const auto closed = [=](const Memory& m) { drained(m), SharedQueue(m, 0).close(); };
  all.push_back({"find the end", tiny_options(), closed, victim(gets(1)), {{{}, {}, true}}});
  const auto wait = [](SharedQueue& queue, Progress&) {
    Bytes bytes;
    queue.get(bytes, Clock::now() + std::chrono::milliseconds(20));
  };
  all.push_back({"wait for long", tiny_options({.idle = std::chrono::microseconds(1)}), drained, victim(wait), {{}}});
  const auto leased = [](const Memory& m) { put(m, 1, 4), lease(m, 2), put(m, 5, 2 * kPerSegment), get(m, 2 * kPerSegment - 2); };
  all.push_back({"wait for long while items are leased", tiny_options({.idle = std::chrono::microseconds(1)}), leased, victim(wait),
                 {{one(1, 2) + one(2, 2)}}});
}

void add_recovery(std::vector<Scenario>& all) {
  const auto recovery = [](const Memory& memory, Progress&) { recover(*memory, kCorpse); };
  const auto head_moved = [](const Memory& m, std::uint64_t from) { return [=] { return m->control().head.head > from; }; };
  const auto tail_moved = [](const Memory& m, std::uint64_t from) { return [=] { return m->control().tail.tail > from; }; };
  all.push_back({"recover from one who died with leases", tiny_options(), [](const Memory& m) { put(m, 1, 2), put(m, 1003, 1003), lease(m, 3); },
                 recovery, {{one(1, 2) + one(2, 2) + one(1003, 2)}}});
  all.push_back({"recover from one whose leases become dead letters", tiny_options({.deliveries_max = 1, .leases_max = 4}),
                 [](const Memory& m) { put(m, 1, 1), put(m, 1002, 1004), lease(m, 4); }, recovery, {{{}, {1003, 1004}}}});
  all.push_back({"recover from one who died after the commit of a large put", tiny_options(),
                 [=](const Memory& m) { die_when(m, puts(1001, 1001), tail_moved(m, 0)); }, recovery, {{range(1001, 1001)}}});
  all.push_back({"recover from one who died after the commit of a get at a segment's end", tiny_options(),
                 [=](const Memory& m) { put(m, 1, kPerSegment + 2), die_when(m, get_many(kPerSegment + 1), head_moved(m, 0)); }, recovery,
                 {{range(kPerSegment + 2, kPerSegment + 2)}}});
  all.push_back({"recover from one who died with a plan", tiny_options(),
                 [](const Memory& m) { put(m, 1, kPerSegment), die_when(m, puts(kPerSegment + 1, kPerSegment + 1), [&] { return m->control().segments.plan.active == 1; }); },
                 recovery, {{range(1, kPerSegment)}}});
  for (std::size_t steps = 50; steps <= 1200; steps += 230) {
    all.push_back({"recover from one who died in a put of a large item, at " + std::to_string(steps), tiny_options(),
                   [=](const Memory& m) { put(m, 1, 1), die(m, puts(1002, 1002), steps); }, recovery, {{range(1, 1)}}});
    all.back().outcomes.push_back({range(1, 1) + one(1002)});
  }
  const auto undone = [=](const Memory& m) {
    const auto full = [&] { return SharedQueue(m, 0).put(item(1), kNow) == PutResult::full; };
    while (!full()) {
    }
    const std::uint64_t left = SharedQueue(m, 0).size();
    die_when(m, get_many(left - 1), head_moved(m, 0));
    recover(*m, kCorpse);
  };
  all.push_back({"put where only a dead consumer's segments are left", tiny_options(), undone, victim(puts(2, 2)), {{one(1)}, {one(1) + one(2)}}, one_by_one(1)});
}

}  // namespace

QueueOptions tiny_options(QueueOptions options) {
  options.users_max = 4;
  if (options.idle == QueueOptions{}.idle) options.idle = kForever;
  options.leases_max = std::min<std::uint32_t>(options.leases_max, 8);
  options.memory_max = options.order == Order::fifo ? 16 << 10 : 32 << 10;
  options.segment_shift = 12;
  options.segments_kept = 1;
  options.block_shift = 12;
  options.blocks_kept = 1;
  return options;
}

std::vector<Left> range(std::uint64_t first, std::uint64_t last) {
  std::vector<Left> items;
  for (std::uint64_t i = first; i <= last; ++i) items.push_back({i, 1});
  return items;
}

std::vector<Scenario> scenarios() {
  std::vector<Scenario> all;
  add_puts(all);
  add_gets(all);
  add_kept(all);
  add_leases(all);
  add_waits(all);
  add_spare(all);
  add_recovery(all);
  return all;
}

}  // namespace queue_test
