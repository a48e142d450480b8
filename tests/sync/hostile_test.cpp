// What stands in shared memory may be anything: nobody may crash, or read and write elsewhere, because of it.
#include <cstdlib>
#include <cstring>
#include <random>
#include <thread>

#include <troupe/errors.h>

#include "support/catch.h"
#include "sync/barrier.h"
#include "sync/condition.h"
#include "sync/event.h"
#include "sync/memory.h"
#include "sync/recover.h"
#include "sync/semaphore.h"
#include "sync/value.h"

using namespace troupe;
using namespace troupe::sync;
using troupe::shared::kRootSlot;
using troupe::test::memory_of;
using troupe::test::SharedMemory;

namespace {

constexpr std::uint32_t kUsers = 8;

// The primitive lies at the end of its mapping's last page, so that a step beyond is noticed by more than AddressSanitizer.
struct AtEnd {
  explicit AtEnd(const Shape& shape) : size(memory_size(shape)), pages(os::Mapping::anonymous((size + 4095) / 4096 * 4096)) {
    bytes = pages.bytes().last(size);
    format(bytes, shape);
  }
  std::size_t size;
  os::Mapping pages;
  std::span<std::byte> bytes;
};

// Whatever can be done without waiting.
void use(std::span<std::byte> memory, Kind kind, Slot me) {
  constexpr auto at_once = Duration::zero();
  switch (kind) {
    case Kind::lock: {
      Lock lock(memory, me);
      static_cast<void>(lock.waits());
      if (lock.acquire(true, at_once)) lock.release();
      return;
    }
    case Kind::rlock: {
      RLock lock(memory, me);
      if (lock.acquire(true, at_once)) lock.release();
      return;
    }
    case Kind::semaphore:
    case Kind::bounded_semaphore: {
      Semaphore semaphore = kind == Kind::semaphore ? Semaphore(memory, me) : BoundedSemaphore(memory, me);
      if (semaphore.acquire(true, at_once)) semaphore.release();
      return;
    }
    case Kind::event: {
      Event event(memory, me);
      event.wait(at_once);
      event.set();
      event.clear();
      return;
    }
    case Kind::condition: {
      Condition condition(memory, me);
      if (!condition.acquire(true, at_once)) return;
      condition.wait(at_once);
      condition.notify(2);
      condition.notify_all();
      condition.release();
      return;
    }
    case Kind::barrier: {
      Barrier barrier(memory, me);
      barrier.abort();
      barrier.reset();
      static_cast<void>(barrier.culprit());
      barrier.wait(at_once);
      return;
    }
    case Kind::array: {
      Array<int> array(memory, me);
      if (!array.get_lock().acquire(true, at_once)) return;
      array.set(array.size() - 1, 7);
      array.get_lock().release();
      return;
    }
    case Kind::raw_array: RawArray<int>(memory).at(0) = 7; return;
  }
}

constexpr Shape kShapes[] = {{Kind::lock, kUsers},
                             {Kind::rlock, kUsers},
                             {Kind::semaphore, kUsers, 3},
                             {Kind::bounded_semaphore, kUsers, 3},
                             {Kind::event, kUsers},
                             {Kind::condition, kUsers, 6},
                             {Kind::barrier, kUsers, 2},
                             {Kind::array, kUsers, 5, type_tag<int>()},
                             {Kind::raw_array, 1, 5, type_tag<int>()}};

// A guard that somebody seems to hold for ever is waited for, for ever, as for a stopped process: not what is looked for here.
void free_guard(std::span<std::byte> memory, Kind kind) {
  if (kind != Kind::semaphore && kind != Kind::bounded_semaphore && kind != Kind::barrier) return;
  Parts(memory).next<GuardPart>()->lock.unlock();
}

}  // namespace

TEST_CASE("memory that is no primitive, or not this one, is refused") {
  SharedMemory nothing(4096);
  CHECK_THROWS_AS(Lock(nothing, 0), ProtocolError);
  CHECK_THROWS_AS(recover(nothing, 0), ProtocolError);
  const auto memory = memory_of<Lock>(kUsers);
  CHECK_NOTHROW(Lock(memory, 0));
  CHECK_THROWS_AS(RLock(memory, 0), ProtocolError);
  CHECK_THROWS_AS(Semaphore(memory, 0), ProtocolError);
  CHECK_THROWS_AS(Lock(memory.bytes().first(64), 0), ProtocolError);
  CHECK_THROWS_AS(Lock(memory.bytes().first(8), 0), ProtocolError);
  CHECK_THROWS_AS(Lock(memory.bytes().subspan(8), 0), ProtocolError);
  auto* header = reinterpret_cast<Header*>(memory.bytes().data());
  header->users = 0xFFFFFFFF;
  CHECK_THROWS_AS(Lock(memory, 0), ProtocolError);
  header->users = kUsers;
  header->version = 2;
  CHECK_THROWS_AS(Lock(memory, 0), ProtocolError);
}

TEST_CASE("shapes that cannot be are refused") {
  CHECK_THROWS_AS(Lock::memory_size(0), std::invalid_argument);
  CHECK_THROWS_AS(Lock::memory_size(70000), std::invalid_argument);
  CHECK_THROWS_AS(Barrier::memory_size(4, 0), std::invalid_argument);
  CHECK_THROWS_AS(Condition::memory_size(4, 0), std::invalid_argument);
  CHECK_THROWS_AS(memory_size({Kind::semaphore, 4, 0x80000000}), std::invalid_argument);
  CHECK_THROWS_AS(memory_size({static_cast<Kind>(77), 4}), ProtocolError);
}

TEST_CASE("a barrier that seems to be doomed already breaks when it is too late") {
  const auto memory = memory_of<Barrier>(kUsers, 2U);
  Barrier barrier(memory, 0);
  Parts parts(memory.bytes());
  parts.next<GuardPart>();
  parts.next<BarrierPart>()->doomed = 173;
  CHECK_THROWS_AS(barrier.wait(Duration::zero()), BrokenBarrierError);  // and does not look at the clock for ever
}

TEST_CASE("a lock, or what is guarded, that cannot be is an error for all from then on, also for who sleeps") {
  const SharedMemory memory(Semaphore::memory_size(kUsers));
  Semaphore::format(memory, kUsers, 0);
  Parts parts(memory.bytes());
  auto* guard = parts.next<GuardPart>();
  auto* permits = parts.next<SemaphorePart>();
  std::thread sleeper([&] {
    Semaphore mine(memory, 1);
    try {
      mine.acquire();
      FAIL("it has a permit");
    } catch (const ProtocolError&) {
    }
  });
  while (permits->sleepers == 0) std::this_thread::yield();
  permits->available = 0x90000000;
  Semaphore semaphore(memory, 0);
  CHECK_THROWS_AS(semaphore.acquire(false), ProtocolError);
  sleeper.join();
  permits->available = 1;
  CHECK_THROWS_AS(semaphore.acquire(false), ProtocolError);
  CHECK_THROWS_AS(Semaphore(memory, 2).release(), ProtocolError);
  recover(memory, 1);  // root leaves it so
  CHECK(guard->lock.is_broken());
  CHECK_THROWS_AS(check_locks(memory, [](Slot slot) { return slot < kUsers; }), ProtocolError);
}

TEST_CASE("a lock that seems to be held by nobody who uses it is found by root, and then nobody waits for it") {
  const auto memory = memory_of<Lock>(kUsers);
  Lock lock(memory, 0);
  const auto is_user = [](Slot slot) { return slot < 2; };
  CHECK(lock.acquire());
  CHECK_NOTHROW(check_locks(memory, is_user));
  Parts(memory.bytes()).next<Word>()->store(5);
  CHECK_THROWS_AS(check_locks(memory, is_user), ProtocolError);
  break_for_good(memory);
  CHECK_THROWS_AS(lock.acquire(), ProtocolError);
  CHECK_THROWS_AS(lock.acquire(false), ProtocolError);
  CHECK_THROWS_AS(lock.release(), ProtocolError);
  CHECK_NOTHROW(lock.unlock());  // in a destructor
  CHECK_THROWS_AS(lock.acquire(), ProtocolError);
}

TEST_CASE("primitives overwritten at random end in an error at worst") {
  const char* chosen = std::getenv("TROUPE_TEST_SEED");
  const unsigned seed = chosen != nullptr ? static_cast<unsigned>(std::atoi(chosen)) : std::random_device()();
  INFO("TROUPE_TEST_SEED=" << seed);
  std::mt19937 random(seed);
  int errors = 0;
  for (int round = 0; round < 20'000; ++round) {
    const Shape& shape = kShapes[random() % std::size(kShapes)];
    AtEnd primitive(shape);
    const std::size_t hits = 1 + random() % 8;
    for (std::size_t hit = 0; hit < hits; ++hit) {
      const std::size_t at = random() % (primitive.size / 4) * 4;
      const std::uint32_t word = random() % 3 == 0 ? random() % 16 : random();
      std::memcpy(primitive.bytes.data() + at, &word, sizeof word);
    }
    free_guard(primitive.bytes, shape.kind);
    try {
      use(primitive.bytes, shape.kind, random() % kUsers);
      recover(primitive.bytes, random() % (shape.kind == Kind::raw_array ? 1 : kUsers));
    } catch (const std::exception&) {
      ++errors;
    }
  }
  CHECK(errors > 0);
}
