#include "sync/layout.h"

#include <cstring>
#include <stdexcept>

#include <troupe/errors.h>

#include "base/check.h"

namespace troupe::sync {
namespace {

constexpr std::size_t kMemoryMax = std::size_t{1} << 40;

constexpr std::size_t to_line(std::size_t size) { return (size + kLine - 1) / kLine * kLine; }

void count_parts(Parts& parts, const Shape& shape) {
  const auto lock = [&] {
    parts.next<LockPart>();
    parts.next<Word>(shape.users);
  };
  switch (shape.kind) {
    case Kind::lock:
    case Kind::rlock: return lock();
    case Kind::condition:
      lock();
      parts.next<ConditionPart>();
      parts.next<Seat>(shape.count);
      return;
    case Kind::array: lock(); [[fallthrough]];
    case Kind::raw_array: parts.next_bytes(static_cast<std::uint32_t>(shape.type), shape.count); return;
    case Kind::semaphore:
    case Kind::bounded_semaphore:
      parts.next<GuardPart>();
      parts.next<SemaphorePart>();
      parts.next<SemaphoreUser>(shape.users);
      return;
    case Kind::barrier:
      parts.next<GuardPart>();
      parts.next<BarrierPart>();
      parts.next<BarrierUser>(shape.users);
      return;
    case Kind::event: parts.next<EventPart>(); return;
  }
  throw ProtocolError("shared memory: no such kind of primitive");
}

// Why a shape cannot be, or null.
const char* fault_of(const Shape& shape) {
  if (shape.users == 0 || shape.users > shared::kSlotsMax) return "a primitive needs 1 to 65520 users";
  switch (shape.kind) {
    case Kind::barrier: return shape.count == 0 || shape.count > INT32_MAX ? "a barrier has 1 to 2147483647 parties" : nullptr;
    case Kind::condition: return shape.count == 0 ? "a condition needs a seat at least" : nullptr;
    case Kind::semaphore:
    case Kind::bounded_semaphore: return shape.count > INT32_MAX ? "a semaphore's value is 2147483647 at most" : nullptr;
    case Kind::array:
    case Kind::raw_array: return static_cast<std::uint32_t>(shape.type) == 0 ? "elements need a size" : nullptr;
    default: return nullptr;
  }
}

}  // namespace

std::byte* Parts::next_bytes(std::size_t size, std::size_t count) {
  const std::size_t begin = end_;
  if (count != 0 && size > (kMemoryMax - begin) / count) throw ProtocolError("shared memory: a primitive larger than 1 TiB");
  end_ = begin + to_line(size * count);
  if (memory_.data() == nullptr) return nullptr;
  if (end_ > memory_.size()) throw ProtocolError("shared memory: too small for what it says to be");
  return memory_.data() + begin;
}

std::size_t memory_size(const Shape& shape) {
  if (const char* fault = fault_of(shape)) throw std::invalid_argument(fault);
  Parts parts;
  count_parts(parts, shape);
  return parts.end();
}

void format(std::span<std::byte> memory, const Shape& shape) {
  TROUPE_CHECK(memory.size() >= memory_size(shape), "memory_size() says how much it must be");
  TROUPE_CHECK(reinterpret_cast<std::uintptr_t>(memory.data()) % kLine == 0, "it must begin on a line");
  std::memset(memory.data(), 0, memory_size(shape));
  const Header header{kSyncMagic, kSyncVersion, shape.kind, shape.users, shape.count, shape.type};
  std::memcpy(memory.data(), &header, sizeof header);
  if (shape.kind == Kind::semaphore || shape.kind == Kind::bounded_semaphore) {
    Parts parts(memory);
    parts.next<GuardPart>();
    auto* permits = parts.next<SemaphorePart>();
    commit(permits->total, shape.count);
    commit(permits->available, shape.count);
  }
}

Shape shape_of(std::span<const std::byte> memory) {
  if (memory.size() < kLine || reinterpret_cast<std::uintptr_t>(memory.data()) % kLine != 0) {
    throw ProtocolError("shared memory: too small for a primitive, or not on a line");
  }
  Header header;  // a copy, because a peer may change the original between check and use
  std::memcpy(&header, memory.data(), sizeof header);
  if (header.magic != kSyncMagic) throw ProtocolError("shared memory: not a primitive for synchronisation");
  if (header.version != kSyncVersion) throw ProtocolError("shared memory: a primitive of another version of troupe");
  const Shape shape{header.kind, header.users, header.count, header.type};
  if (const char* fault = fault_of(shape)) throw ProtocolError(fault);
  Parts parts;
  count_parts(parts, shape);
  if (parts.end() > memory.size()) throw ProtocolError("shared memory: too small for what it says to be");
  return shape;
}

void check_slot(shared::Slot slot, std::uint32_t users) {
  if (slot >= users) throw ProtocolError("shared memory: a primitive with fewer users than slots were given out");
}

Shape shape_of(std::span<const std::byte> memory, Kind kind, shared::Slot me) {
  const Shape shape = shape_of(memory);
  if (shape.kind != kind) throw ProtocolError("shared memory: a primitive of another kind");
  if (me != shared::kRootSlot) check_slot(me, shape.users);
  return shape;
}

}  // namespace troupe::sync
