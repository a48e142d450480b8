#include "queue/recover.h"

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
  if (!steps.wake) return;
  for (Wait* area : {static_cast<Wait*>(&control.items), &control.room.room, &control.room.idle, &control.room.blocks}) wake_all(*area);
}

}  // namespace troupe::queue
