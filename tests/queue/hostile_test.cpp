#include "support/catch.h"

#include <random>

#include <troupe/errors.h>

#include "queue/recover.h"
#include "queue_support.h"

using namespace troupe;
using namespace troupe::queue;
using namespace queue_test;

// A user that writes anything anywhere into the shared bytes costs the others a ProtocolError, or wrong bytes, at worst: no crash, no
// access outside of the memory (under ASan this shows), no endless loop.
namespace {

using Random = std::mt19937_64;

std::uint64_t nasty(Random& random, std::uint64_t old) {
  switch (random() % 8) {
    case 0: return old + 8 * (random() % 600);
    case 1: return old - 8 * (random() % 600);
    case 2: return old ^ std::uint64_t{1} << random() % 64;
    case 3: return record_word(random() % 600, RecordKind::item);
    case 4: return record_word(random() % 600, random() % 2 == 0 ? RecordKind::pad : RecordKind::large);
    case 5: return ~std::uint64_t{0} - random() % 64;
    case 6: return 0;
    default: return random();
  }
}

// Half of the time where it hurts most: in the words that steer everything. Locks are left alone: who holds one for ever keeps the
// others, but only until their deadlines, and those take too long here.
void corrupt(const QueueMemory& memory, Random& random) {
  const std::size_t control = sizeof(ControlArea) / 8;
  const std::size_t all = memory.mapped().size() / 8;
  const std::size_t constants = kLine / 8;
  const std::size_t word = random() % 2 == 0 ? constants + random() % (control - constants) : control + random() % (all - control);
  const auto in_lock = [&](std::size_t offset, std::size_t size) { return word >= offset / 8 && word < (offset + size + 7) / 8; };
  if (in_lock(offsetof(ControlArea, put), sizeof(PutSide::lock)) || in_lock(offsetof(ControlArea, get), sizeof(GetSide::lock)) ||
      in_lock(offsetof(ControlArea, segments), sizeof(SegmentHeap::lock))) {
    return;
  }
  auto* words = reinterpret_cast<std::uint64_t*>(memory.mapped().data());
  words[word] = nasty(random, words[word]);
}

void use(SharedQueue& queue, std::vector<Lease>& leases, Random& random) {
  Bytes item;
  Items items;
  Lease lease;
  std::vector<Lease> more;
  switch (random() % 10) {
    case 0: case 1: case 2: queue.put(Bytes(8 + random() % 500), kNow); return;
    case 3: queue.put(Bytes(600 + random() % 4000), kNow); return;
    case 4: (void)queue.get(item, kNow); return;
    case 5: (void)queue.get_many(items, 1 + random() % 20, kNow); return;
    case 6:
      if (queue.lease(item, lease, kNow) == GetResult::item) leases.push_back(lease);
      return;
    case 7:
      if (leases.empty()) return;
      random() % 2 == 0 ? queue.acknowledge(leases.back()) : queue.give_back(leases.back());
      leases.pop_back();
      return;
    case 8: (void)queue.take_dead_letter(item, lease); return;
    default: (void)queue.size(), (void)queue.counts(), (void)queue.join(kNow);
  }
}

void run(std::uint64_t seed) {
  Random random(seed);
  const auto order = static_cast<Order>(random() % 3);
  const auto memory = make_memory({.items_max = random() % 2 * 10,
                                   .overflow = static_cast<Overflow>(random() % (order == Order::priority ? 3 : 4)),
                                   .order = order,
                                   .users_max = 4,
                                   .deliveries_max = 2,
                                   .leases_max = 8,
                                   .ticket_end = 8,
                                   .memory_max = 16 << 10,
                                   .segment_shift = 12,
                                   .segments_kept = 1,
                                   .block_shift = 12});
  SharedQueue queue(memory, 0);
  std::vector<Lease> leases;
  for (int i = 0; i < 20; ++i) use(queue, leases, random);
  for (int i = 0; i < 10; ++i) {
    corrupt(*memory, random);
    try {
      SharedQueue other(memory, 1);  // one that is not poisoned by what it saw before
      std::vector<Lease> its_leases;
      for (int k = 0; k < 4; ++k) use(other, its_leases, random);
      recover(*memory, 1, {}, [&](Ticket) { return random() % 2 == 0; });
      (void)tickets_lost(*memory, {0, 5, ~Ticket{0}});
    } catch (const ProtocolError&) {
    } catch (const std::length_error&) {  // all leases seem taken
    } catch (const SystemError&) {        // a block beyond the end
    }
  }
}

}  // namespace

TEST_CASE("overwritten memory is an error, never a crash, in 40,000 random corruptions") {
  for (std::uint64_t seed = 0; seed < 4'000; ++seed) run(seed);
}

TEST_CASE("a queue whose memory was found broken stays so, for all of its users") {
  const auto memory = make_memory({});
  SharedQueue queue(memory, 0);
  queue.put(make_item(1));
  const std::uint64_t tail = memory->control().tail.tail;
  memory->control().tail.tail = tail + 4;
  Bytes item;
  Lease lease;
  CHECK_THROWS_AS(queue.get(item, kNow), ProtocolError);
  memory->control().tail.tail = tail;
  CHECK_THROWS_AS(queue.get(item, kNow), ProtocolError);
  CHECK_THROWS_AS(queue.put(item, kNow), ProtocolError);
  SharedQueue other(memory, 1);
  CHECK_THROWS_AS(other.get(item, kNow), ProtocolError);
  CHECK_THROWS_AS(other.put(item, kNow), ProtocolError);
  CHECK_THROWS_AS(other.lease(item, lease, kNow), ProtocolError);
  CHECK_THROWS_AS(other.size(), ProtocolError);
  CHECK_THROWS_AS(other.full(), ProtocolError);
  CHECK_THROWS_AS(other.counts(), ProtocolError);
  CHECK_THROWS_AS(other.join(kNow), ProtocolError);
  CHECK_THROWS_AS(other.ready(kNow), ProtocolError);
  CHECK_THROWS_AS(other.close(), ProtocolError);
  recover(*memory, 1);  // root does not repair it
  CHECK_THROWS_AS(SharedQueue(memory, 1).put(item, kNow), ProtocolError);
}
