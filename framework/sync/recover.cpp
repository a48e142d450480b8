#include "sync/recover.h"

#include "sync/barrier.h"
#include "sync/condition.h"
#include "sync/event.h"
#include "sync/semaphore.h"

namespace troupe::sync {

using shared::kRootSlot;

void recover(std::span<std::byte> memory, Slot slot, End end, std::string_view name) {
  const Shape shape = shape_of(memory);
  switch (shape.kind) {
    case Kind::lock: return Lock(memory, kRootSlot).recover(slot);
    case Kind::rlock: return RLock(memory, kRootSlot).recover(slot);
    case Kind::condition: return Condition(memory, kRootSlot).recover(slot);
    case Kind::array: {
      Parts parts(memory);
      return RLock::part_of(parts, shape.users, kRootSlot).recover(slot);
    }
    case Kind::semaphore: return Semaphore(memory, kRootSlot).recover(slot, end);
    case Kind::bounded_semaphore: return BoundedSemaphore(memory, kRootSlot).recover(slot, end);
    case Kind::barrier: {
      Barrier barrier(memory, kRootSlot);
      if (end == End::died) barrier.name(slot, name);
      return barrier.recover(slot, end);
    }
    case Kind::event: return Event(memory, kRootSlot).recover(slot);
    case Kind::raw_array: return;
  }
}

bool recovered(std::span<std::byte> memory, Slot slot) {
  const Shape shape = shape_of(memory);
  switch (shape.kind) {
    case Kind::semaphore: return Semaphore(memory, kRootSlot).recovered(slot);
    case Kind::bounded_semaphore: return BoundedSemaphore(memory, kRootSlot).recovered(slot);
    case Kind::barrier: return Barrier(memory, kRootSlot).recovered(slot);
    default: return true;
  }
}

}  // namespace troupe::sync
