#pragma once

#include <memory>
#include <optional>
#include <stdexcept>

#include <troupe/errors.h>
#include <troupe/shared_value.h>
#include <troupe/sync.h>

#include "os/memory.h"
#include "program/shared_thing.h"
#include "sync/barrier.h"
#include "sync/condition.h"
#include "sync/event.h"
#include "sync/lock.h"
#include "sync/semaphore.h"

// Locks and their kin as one process uses them: their memory, mapped, and the primitive in it.
namespace troupe::detail {

class MappedPart : public program::SharedThing {
 public:
  MappedPart(process::ThingId id, process::ThingAccess access) : SharedThing(id, std::move(access)) {
    const auto size = os::shared_memory_size(memory());
    if (!size) throw ProtocolError("a handle of what is no shared memory");
    mapping_ = os::Mapping(memory(), *size);
  }
  [[nodiscard]] std::span<std::byte> bytes() const { return mapping_.bytes(); }

 private:
  os::Mapping mapping_;
};

// lock.acquire(); whoever waits for long tells root again and again that it waits for `thing`: it may be for ever, in a circle.
bool acquire_or_tell(sync::AnyLock& lock, const program::SharedThing& thing, bool block, Duration timeout);

// What may be locked, and what is in it: a Lock, an RLock, an array with its RLock, or a raw array, which has none.
class LockPart final : public MappedPart {
 public:
  LockPart(process::ThingId id, process::ThingAccess access)
      : MappedPart(id, std::move(access)), shape(sync::shape_of(bytes())) {
    sync::Parts parts(bytes());
    switch (shape.kind) {
      case sync::Kind::lock: lock_ = sync::Lock(bytes(), slot()); return;
      case sync::Kind::rlock: lock_ = sync::RLock(bytes(), slot()); return;
      case sync::Kind::array: lock_ = sync::RLock::part_of(parts, shape.users, slot()); break;
      case sync::Kind::raw_array: break;
      default: throw ProtocolError("a handle of what is no lock");
    }
    const auto size = static_cast<std::uint32_t>(shape.type);
    elements = {parts.next_bytes(size, shape.count), std::size_t{size} * shape.count};
  }
  bool acquire(bool block, Duration timeout) { return acquire_or_tell(lock(), *this, block, timeout); }
  [[nodiscard]] sync::AnyLock& lock() {
    if (!lock_) throw std::logic_error("a raw array has no lock");
    return *lock_;
  }

  const sync::Shape shape;
  std::span<std::byte> elements;

 private:
  std::optional<sync::AnyLock> lock_;
};

class SemaphorePart final : public MappedPart {
 public:
  SemaphorePart(process::ThingId id, process::ThingAccess access)
      : MappedPart(id, std::move(access)),
        semaphore(sync::shape_of(bytes()).kind == sync::Kind::semaphore
                      ? sync::Semaphore(bytes(), slot())
                      : sync::Semaphore(sync::BoundedSemaphore(bytes(), slot()))) {}
  sync::Semaphore semaphore;
};

class EventPart final : public MappedPart {
 public:
  EventPart(process::ThingId id, process::ThingAccess access) : MappedPart(id, std::move(access)), event(bytes(), slot()) {}
  sync::Event event;
};

// With its own lock until it is told another.
class ConditionPart final : public MappedPart {
 public:
  ConditionPart(process::ThingId id, process::ThingAccess access)
      : MappedPart(id, std::move(access)), condition(bytes(), slot()) {}
  // Before any other thread knows of it. All of a process's handles come with the same lock.
  void use(std::shared_ptr<LockPart> other) {
    condition = sync::Condition(bytes(), slot(), other->lock());
    lock = std::move(other);
  }
  bool acquire(bool block, Duration timeout) {
    return lock ? lock->acquire(block, timeout) : acquire_or_tell(condition.get_lock(), *this, block, timeout);
  }
  sync::Condition condition;
  std::shared_ptr<LockPart> lock;  // none: its own
};

class BarrierPart final : public MappedPart {
 public:
  BarrierPart(process::ThingId id, process::ThingAccess access) : MappedPart(id, std::move(access)), barrier(bytes(), slot()) {}
  // Before any other thread knows of it. All of a process's handles come with the same action.
  void run_last(const Action& last) {
    if (!last.run) return;
    action = last;
    barrier = sync::Barrier(bytes(), slot(), {.action = [this] { action.run(std::as_bytes(std::span(action.bytes)).first(action.size)); }});
  }
  sync::Barrier barrier;
  Action action;
};

}  // namespace troupe::detail
