#include "sync/recover.h"

#include <algorithm>

#include <troupe/errors.h>

#include "os/futex.h"
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

namespace {

// Which of them a primitive has, if any, stands in its first part.
shared::OwnerLock* lock_of(std::span<std::byte> memory, Kind kind) {
  if (kind == Kind::event || kind == Kind::raw_array) return nullptr;
  static_assert(offsetof(LockPart, lock) == 0 && offsetof(GuardPart, lock) == 0);
  return &Parts(memory).next<LockPart>()->lock;
}

bool is_guarded(Kind kind) { return kind == Kind::semaphore || kind == Kind::bounded_semaphore || kind == Kind::barrier; }

}  // namespace

void check_locks(std::span<std::byte> memory, const std::function<bool(Slot)>& is_user) {
  const auto* lock = lock_of(memory, shape_of(memory).kind);
  const auto holder = lock ? lock->holder() : std::nullopt;
  if (holder && !is_user(*holder)) throw ProtocolError("shared memory was overwritten: a lock that nobody holds");
}

namespace {

// Where even what it is was overwritten: it has been something, and somebody may sleep anywhere in it.
void break_unknown(std::span<std::byte> memory) {
  constexpr std::size_t kSleepersMax = 8192;  // they are that near to the beginning
  if (memory.size() < 2 * kLine) return;
  lock_of(memory, Kind::lock)->break_for_good();
  const auto words = memory.first(std::min(memory.size(), kSleepersMax) / sizeof(Word) * sizeof(Word));
  for (std::size_t at = kLine; at < words.size(); at += sizeof(Word)) {
    auto& word = *reinterpret_cast<Word*>(words.data() + at);
    if (at == kLine + offsetof(GuardPart, epoch)) word.fetch_add(1, std::memory_order_seq_cst);
    os::futex_wake_all(word);
  }
}

}  // namespace

void break_for_good(std::span<std::byte> memory) {
  Kind kind{};
  try {
    kind = shape_of(memory).kind;
  } catch (const ProtocolError&) {
    return break_unknown(memory);
  }
  if (auto* lock = lock_of(memory, kind)) lock->break_for_good();
  if (is_guarded(kind)) {
    auto* guard = Parts(memory).next<GuardPart>();
    guard->epoch.fetch_add(1, std::memory_order_seq_cst);
    os::futex_wake_all(guard->epoch);
  }
  if (kind == Kind::condition) wake_all(memory);
}

void wake_all(std::span<std::byte> memory) {
  if (shape_of(memory).kind == Kind::condition) Condition(memory, kRootSlot).wake_all();
}

}  // namespace troupe::sync
