// What another user may have written into a queue's shared bytes: the input is laid over them, then every operation is tried.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>

#include <troupe/errors.h>

#include "queue/recover.h"
#include "queue/shared_queue.h"

using namespace troupe;
using namespace troupe::queue;

namespace {

void try_everything(const std::shared_ptr<const QueueMemory>& memory) {
  SharedQueue queue(memory, 1);
  Bytes item;
  Items items;
  Lease lease, dead;
  std::vector<Lease> leases;
  recover(*memory, 2, {}, [](Ticket ticket) { return ticket % 2 == 0; });
  (void)tickets_lost(*memory, {0, 1, 77});
  (void)queue.size(), (void)queue.counts(), (void)queue.join(kNow);
  queue.put(Bytes(100), kNow);
  if (queue.lease(item, lease, kNow) == GetResult::item) queue.give_back(lease);
  (void)queue.get(item, kNow);
  queue.put(Bytes(1000), kNow);
  (void)queue.lease_many(items, leases, 3, kNow);
  if (queue.take_dead_letter(item, dead)) queue.acknowledge(dead);
  for (int i = 0; i < 4; ++i) (void)queue.get_many(items, 50, kNow);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const auto order = static_cast<Order>(data[0] / 16 % 3);
  const auto overflow = static_cast<Overflow>(data[1] % (order == Order::priority ? 3 : 4));
  const auto memory = std::make_shared<const QueueMemory>(QueueMemory::create({.items_max = data[0] % 16U,
                                                                               .overflow = overflow,
                                                                               .order = order,
                                                                               .users_max = 4,
                                                                               .deliveries_max = 2,
                                                                               .leases_max = 8,
                                                                               .ticket_end = 16,
                                                                               .memory_max = 16 << 10,
                                                                               .segment_shift = 12,
                                                                               .segments_kept = 1,
                                                                               .block_shift = 12}));
  // Triples: a word that steers, or one of the log; and what is added to it.
  constexpr std::size_t kSteering = sizeof(ControlArea) / 8, kConstants = kLine / 8;
  auto* words = reinterpret_cast<std::uint64_t*>(memory->mapped().data());
  const std::size_t all = memory->mapped().size() / 8;
  try {
    SharedQueue queue(memory, 0);
    for (int i = 0; i < 6; ++i) queue.put(Bytes(8 + static_cast<std::size_t>(i) * 150), kNow);
    for (std::size_t i = 2; i + 11 <= size; i += 11) {
      std::uint64_t value = 0;
      std::memcpy(&value, data + i + 3, sizeof value);
      const std::size_t place = data[i + 1] | std::size_t{data[i + 2]} << 8;
      const std::size_t word = data[i] % 2 == 0 ? kConstants + place % (kSteering - kConstants) : kSteering + place % (all - kSteering);
      // A lock that is held by nobody who lives would be waited for, as it must.
      const auto in_lock = [&](std::size_t offset, std::size_t bytes) { return word >= offset / 8 && word < (offset + bytes + 7) / 8; };
      const bool is_lock = in_lock(offsetof(ControlArea, put), sizeof(PutSide::lock)) ||
                           in_lock(offsetof(ControlArea, get), sizeof(GetSide::lock)) ||
                           in_lock(offsetof(ControlArea, segments), sizeof(SegmentHeap::lock));
      if (!is_lock) words[word] = data[i] % 4 < 2 ? value : words[word] + value;
    }
    try_everything(memory);
  } catch (const ProtocolError&) {
  } catch (const std::length_error&) {
  } catch (const SystemError&) {
  }
  return 0;
}
