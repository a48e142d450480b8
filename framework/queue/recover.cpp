#include "queue/recover.h"

#include "os/futex.h"
#include "queue/blocks.h"
#include "queue/leases.h"
#include "queue/log_reader.h"
#include "queue/log_writer.h"
#include "queue/owner_lock.h"
#include "queue/segments.h"
#include "queue/waiting.h"

namespace troupe::queue {
namespace {

template <class Finish>
void take_over(const QueueMemory& memory, HalfWord& lock, Owner dead, Finish finish) {
  if (!OwnerLock::take_over(lock, dead)) return;
  finish();
  OwnerLock(lock, kRootOwner, memory.constants.users_max, false).unlock();
}

}  // namespace

void recover(const QueueMemory& memory, std::uint32_t slot, const RecoverSteps& steps) {
  ControlArea& control = memory.control();
  const Owner dead = owner_of(slot);
  if (steps.segment_lock) take_over(memory, control.segments.lock, dead, [&] { Segments::finish(memory); });
  if (steps.get_lock) {
    take_over(memory, control.get.lock, dead, [&] {
      LogReader::finish(memory);
      Leases::drop_uncommitted(memory, dead);
    });
  }
  if (steps.put_lock) take_over(memory, control.put.lock, dead, [&] { LogWriter::finish(memory, dead); });
  if (steps.blocks) Blocks::free_written_by(memory, dead);
  if (steps.leases) Leases::give_back_all(memory, dead);
  if (!steps.wake) return;
  for (HalfWord* lock : {&control.segments.lock, &control.get.lock, &control.put.lock}) os::futex_wake_all(*lock);
  for (Wait* area : {static_cast<Wait*>(&control.items), &control.room.room, &control.room.idle}) wake_all(*area);
}

}  // namespace troupe::queue
