#include "sync/structure.h"

#include "sync/layout.h"

namespace troupe::test {
namespace {

using namespace sync;
using shared::Slot;

std::string wrong_if(bool wrong, const char* what) { return wrong ? what : ""; }

std::string check_lock(Parts& parts, std::uint32_t users, Slot dead) {
  const auto* lock = parts.next<LockPart>();
  const auto* waits = parts.next<Word>(users);
  if (lock->lock.held_by(dead)) return "the dead holds the lock";
  if (!lock->lock.holder() && (lock->thread != 0 || lock->depth != 0)) return "a free lock belongs to a thread";
  return wrong_if((waits[dead] & kWaiters) != 0, "the dead waits");
}

std::string check_seats(Parts& parts, std::uint32_t seats, Slot dead) {
  parts.next<ConditionPart>();
  const auto* seat = parts.next<Seat>(seats);
  for (std::uint32_t i = 0; i < seats; ++i) {
    if ((seat[i].state & 0xFFFF) == dead + 1) return "the dead has a seat";
  }
  return "";
}

std::string check_semaphore(Parts& parts, std::uint32_t users, Slot dead) {
  const auto* guard = parts.next<GuardPart>();
  const auto* permits = parts.next<SemaphorePart>();
  const auto* user = parts.next<SemaphoreUser>(users);
  std::uint32_t total = permits->available;
  std::uint32_t sleepers = 0;
  for (Slot slot = 0; slot < users; ++slot) {
    const std::uint64_t taken = user[slot].taken;
    total += static_cast<std::uint32_t>(taken) + static_cast<std::uint32_t>(taken >> 32);
    sleepers += user[slot].waiting;
  }
  if (guard->lock.holder()) return "somebody is in the way";
  if (static_cast<std::uint32_t>(user[dead].taken) != 0 || user[dead].waiting != 0 || user[dead].note != 0)
    return "the dead is not forgotten";
  if (total != permits->total) return "permits do not add up";
  return wrong_if(sleepers != permits->sleepers, "sleepers do not add up");
}

std::string check_barrier(Parts& parts, const Shape& shape, Slot dead) {
  const auto* guard = parts.next<GuardPart>();
  const auto* barrier = parts.next<BarrierPart>();
  const auto* user = parts.next<BarrierUser>(shape.users);
  std::uint32_t inside = 0;
  for (Slot slot = 0; slot < shape.users; ++slot) inside += user[slot].inside;
  if (guard->lock.holder()) return "somebody is in the way";
  if (user[dead].inside != 0 || user[dead].party != 0 || user[dead].note != 0) return "the dead is not forgotten";
  if (inside != barrier->inside) return "those inside do not add up";
  constexpr std::uint32_t draining = 2, resetting = 3;
  const bool leaving = barrier->state == draining || barrier->state == resetting;
  return wrong_if(leaving && inside == 0, "the last one left, but it drains");
}

}  // namespace

std::string check_structure(std::span<std::byte> memory, Slot dead) {
  const Shape shape = shape_of(memory);
  Parts parts(memory);
  switch (shape.kind) {
    case Kind::lock:
    case Kind::rlock:
    case Kind::array: return check_lock(parts, shape.users, dead);
    case Kind::condition: {
      const std::string wrong = check_lock(parts, shape.users, dead);
      return wrong.empty() ? check_seats(parts, shape.count, dead) : wrong;
    }
    case Kind::semaphore:
    case Kind::bounded_semaphore: return check_semaphore(parts, shape.users, dead);
    case Kind::barrier: return check_barrier(parts, shape, dead);
    case Kind::event:
    case Kind::raw_array: return "";
  }
  return "no such kind";
}

}  // namespace troupe::test
