#include "queue/recover.h"

#include <array>

#include "queue/blocks.h"
#include "queue/leases.h"
#include "queue/log_reader.h"
#include "queue/log_writer.h"
#include "queue/held.h"
#include "queue/ordered_items.h"
#include "queue/segments.h"
#include "queue/waiting.h"

namespace troupe::queue {
namespace {

// A lock that root holds already was left by a root that was killed here: there is only one at a time.
template <class Lock, class Finish>
void take_over(Lock& lock, std::uint32_t slot, Finish finish) {
  if (!lock.take_over(slot) && !lock.take_over(shared::kRootSlot)) return;
  finish();
  lock.unlock();
}

// The order may be half changed.
void take_over_order(const QueueMemory& memory, std::uint32_t slot, const RecoverSteps& steps) {
  ControlArea& control = memory.control();
  if (control.put.lock.held_by_dead(slot)) {
    OrderedItems::finish(memory);
    if (steps.order) control.leases.look.store(1, std::memory_order_seq_cst);
  }
  if (steps.put_lock) control.put.lock.abandon(slot);
}

std::array<Wait*, 4> all_waits(ControlArea& control) {
  return {&control.items, &control.room.room, &control.room.idle, &control.room.blocks};
}

}  // namespace

void recover(const QueueMemory& memory, std::uint32_t slot, const RecoverSteps& steps, const IsOver& is_over) {
  ControlArea& control = memory.control();
  const Owner dead = slot + 1;
  if (memory.is_ordered()) take_over_order(memory, slot, steps);
  if (steps.segment_lock) take_over(control.segments.lock, slot, [&] { Segments::finish(memory); });
  if (steps.get_lock) {
    take_over(control.get.lock, slot, [&] {
      LogReader::finish(memory);
      Leases::drop_uncommitted(memory, dead);
    });
  }
  if (steps.put_lock && !memory.is_ordered()) take_over(control.put.lock, slot, [&] { LogWriter::finish(memory); });
  if (steps.blocks) Blocks::free_written_by(memory, dead);
  if (steps.leases) {
    Leases::give_back_all(memory, dead, [&](std::uint32_t entry) {
      const Ticket ticket = is_over ? ticket_in(memory, entry) : 0;
      return ticket != 0 && is_over(ticket);
    });
  }
  control.leases.spare.store(1, std::memory_order_relaxed);  // it may have been giving something back
  if (!steps.wake) return;
  for (Wait* area : all_waits(control)) wake_all(*area);
}

void check_locks(const QueueMemory& memory, const std::function<bool(std::uint32_t slot)>& is_user) {
  const ControlArea& control = memory.control();
  for (const auto holder : {control.put.lock.owner(), control.get.lock.owner(), control.segments.lock.holder()})
    if (holder && !is_user(*holder)) QueueMemory::throw_corrupt("a lock that nobody holds");
}

void break_for_good(ControlArea& control) {
  control.put.lock.break_for_good();
  control.get.lock.break_for_good();
  control.segments.lock.break_for_good();
  for (Wait* area : all_waits(control)) wake_all(*area);
}

void break_for_good(const os::Descriptor& memory) {
  const auto size = os::shared_memory_size(memory);
  if (!size || *size < sizeof(ControlArea)) return;
  const os::Mapping mapping(memory, sizeof(ControlArea));
  break_for_good(*reinterpret_cast<ControlArea*>(mapping.bytes().data()));
}

}  // namespace troupe::queue
