#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

#include "shared/owner_lock.h"

namespace troupe::sync {

// The bytes that the users of a primitive share. Each part begins on a line of its own:
//
//     Lock, RLock     Header | LockPart | waits
//     Condition       Header | LockPart | waits | ConditionPart | Seat × count
//     Value, Array    Header | LockPart | waits | elements × count
//     RawValue, …     Header | elements × count
//     Semaphore       Header | GuardPart | SemaphorePart | SemaphoreUser × users
//     Barrier         Header | GuardPart | BarrierPart | BarrierUser × users
//     Event           Header | EventPart
//
// All bytes but the header's are zero at first. The header is written once; each user keeps a checked copy of what it says, so that
// nothing that a peer scribbles later leads outside of the memory.
//
// What makes this survive kill -9 at any instruction: every operation commits by one store, and whatever else it has to store can be
// computed again from what was committed. Stores whose order matters are release stores, which compilers keep in order; a killed
// process has done all stores before the instruction that it did not reach, and none after it.
inline constexpr std::uint64_t kSyncMagic = 0x636e797365707254;  // "Trpesync"
inline constexpr std::uint32_t kSyncVersion = 1;
inline constexpr std::size_t kLine = 64;

using Word = std::atomic<std::uint32_t>;
using WideWord = std::atomic<std::uint64_t>;
static_assert(Word::is_always_lock_free && WideWord::is_always_lock_free && std::endian::native == std::endian::little);

enum class Kind : std::uint32_t { lock = 1, rlock, semaphore, bounded_semaphore, event, condition, barrier, array, raw_array };

// What a primitive was made as.
struct Shape {
  Kind kind;
  std::uint32_t users;      // slots from 0 to here may use it
  std::uint32_t count = 0;  // seats, parties, first permits, elements
  std::uint64_t type = 0;   // of the elements: see type_tag()
};

struct Header {
  std::uint64_t magic;
  std::uint32_t version;
  Kind kind;
  std::uint32_t users;
  std::uint32_t count;
  std::uint64_t type;
};
static_assert(sizeof(Header) == 32 && offsetof(Header, users) == 16 && offsetof(Header, type) == 24);

// A lock that somebody owns. waits[slot] = how many of its threads wait for it, in 16 bits, and how often any did, above them.
struct LockPart {
  shared::OwnerLock lock;
  Word depth;       // of an RLock: how often its holder acquired it
  WideWord thread;  // of an RLock: which thread of the holder's, or 0
  Word deaths;      // of holders; root counts
  Word reserved;
};
static_assert(sizeof(LockPart) == 24 && offsetof(LockPart, thread) == 8);
inline constexpr std::uint32_t kWaitBegins = 0x10001;  // one more wait, one more waiter
inline constexpr std::uint32_t kWaiters = 0xFFFF;

// A seat is taken by whoever holds the condition's lock, with one store of `state`, after `ticket`:
//
//      31 30   29 … 16   15 … 0
//     | what  |    0    | slot + 1 |     what: 0 free, 1 waiting, 2 notified
//
// It is given up by its owner, or by root when the owner is dead. The owner sleeps on `state`.
struct Seat {
  Word state;
  Word reserved;
  WideWord ticket;  // the order in which they came
};
static_assert(sizeof(Seat) == 16);

struct ConditionPart {
  WideWord next_ticket;
  Word used;            // seats from here on were never taken
  Word deaths_seen;     // of the lock's holders, by root
  Word lock_elsewhere;  // 1: its users gave it another lock than its own
  Word reserved;
};
static_assert(sizeof(ConditionPart) == 24);

// A lock for the few instructions of an operation, and what it takes to recover it: see guarded.h.
struct GuardPart {
  shared::OwnerLock lock;
  Word pending;  // 1: a user has a note
  Word epoch;    // sleepers sleep on it; it changes whenever they should look again
  Word reserved;
};
static_assert(sizeof(GuardPart) == 16);

// Counts of permits are modulo 2^32; there are never more than 2^31 - 1.
struct SemaphorePart {
  Word total;      // permits ever made
  Word available;  // total less what the users took
  Word sleepers;   // sum of the users' waiting
  Word reserved;
};
struct SemaphoreUser {
  WideWord taken;  // permits that it holds; those that users of this slot used up, above them
  Word note;       // an End, or 0; until the dead is forgotten
  Word waiting;    // threads in acquire()
};
static_assert(sizeof(SemaphorePart) == 16 && sizeof(SemaphoreUser) == 16);

struct BarrierPart {
  Word state;
  Word inside;   // sum of the users' inside
  Word doomed;   // 1: broken as soon as the last one is out
  Word culprit;  // slot + 1 of the dead that broke it, or 0
};
struct BarrierUser {
  Word note;
  Word inside;  // threads in wait()
  Word party;   // 1: the barrier cannot fill without it
  Word reserved;
  std::array<WideWord, 6> name;  // of the process that died, filled up with zeros
};
static_assert(sizeof(BarrierPart) == 16 && sizeof(BarrierUser) == 64);

struct EventPart {
  Word word;  // see event.h
};

// Finds the parts of a primitive one after the other. Of a null memory, it just counts.
class Parts {
 public:
  explicit Parts(std::span<std::byte> memory = {}) : memory_(memory) {}

  // The next part; throws ProtocolError where the memory is too small for it.
  template <class Part>
  Part* next(std::size_t count = 1) {
    static_assert(alignof(Part) <= kLine);
    return reinterpret_cast<Part*>(next_bytes(sizeof(Part), count));
  }
  std::byte* next_bytes(std::size_t size, std::size_t count);
  [[nodiscard]] std::size_t end() const { return end_; }

 private:
  std::span<std::byte> memory_;
  std::size_t end_ = kLine;  // after the header
};

// Memory that a primitive needs; it must begin on a line. Throws std::invalid_argument for a shape that cannot be.
std::size_t memory_size(const Shape& shape);

// Makes a primitive of `memory`, free, unset, empty, zero, of a shape that was checked by memory_size().
void format(std::span<std::byte> memory, const Shape& shape);

// What `memory` is, checked against its size. Throws ProtocolError if it is not a primitive at all.
Shape shape_of(std::span<const std::byte> memory);

// The same, and of this kind; `me` must be one of its users, or root. Throws ProtocolError otherwise.
Shape shape_of(std::span<const std::byte> memory, Kind kind, shared::Slot me);

// Throws ProtocolError if a primitive with so many users has no such slot.
void check_slot(shared::Slot slot, std::uint32_t users);

// Stores in program order.
template <class T>
void commit(std::atomic<T>& word, std::type_identity_t<T> value) {
  word.store(value, std::memory_order_release);
}
template <class T>
[[nodiscard]] T value_of(const std::atomic<T>& word) {
  return word.load(std::memory_order_relaxed);
}

}  // namespace troupe::sync
