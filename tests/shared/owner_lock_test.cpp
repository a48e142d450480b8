#include "shared/owner_lock.h"

#include <unistd.h>

#include <chrono>
#include <csignal>
#include <new>
#include <thread>
#include <vector>

#include <troupe/errors.h>

#include "os/memory.h"
#include "support/catch.h"
#include "support/child.h"

using namespace std::chrono_literals;
using troupe::Clock;
using troupe::shared::kRootSlot;
using troupe::shared::OwnerLock;
using troupe::test::Child;

namespace {

struct Shared {
  OwnerLock lock;
  std::atomic<std::uint32_t> raised{0};
  std::uint64_t counter = 0;
};

struct SharedMemory {
  troupe::os::Mapping mapping{troupe::os::make_shared_memory("test", sizeof(Shared)), sizeof(Shared)};
  Shared* shared = new (mapping.bytes().data()) Shared;
  Shared* operator->() const { return shared; }
};

// Waits, awake, until a child says that it has come there.
void await(const std::atomic<std::uint32_t>& raised, std::uint32_t value = 1) {
  while (raised.load() < value) std::this_thread::yield();
}

}  // namespace

TEST_CASE("an owner lock is held by one, and says by whom") {
  OwnerLock lock;
  CHECK_FALSE(lock.holder());
  REQUIRE(lock.try_lock(7));
  CHECK(lock.holder() == 7U);
  CHECK_FALSE(lock.try_lock(7));
  CHECK_FALSE(lock.lock_until(8, Clock::now() + 1ms));
  CHECK(lock.held_by(7));
  lock.unlock();
  CHECK_FALSE(lock.holder());
  CHECK_FALSE(lock.try_unlock(7));
  REQUIRE(lock.try_lock(8));
  CHECK(lock.try_unlock(7));  // anybody may unlock; the slot is a guess
  CHECK_FALSE(lock.holder());
}

TEST_CASE("processes and threads exclude one another by an owner lock") {
  SharedMemory memory;
  const auto add = [&](std::uint32_t slot) {
    for (int i = 0; i < 20'000; ++i) {
      memory->lock.lock(slot);
      ++memory->counter;
      memory->lock.unlock();
    }
    return 0;
  };
  Child other([&] { return add(1); });
  std::thread thread([&] { add(0); });
  add(0);
  thread.join();
  CHECK(other.wait() == 0);
  CHECK(memory->counter == 60'000);
}

TEST_CASE("the lock of a killed process is abandoned to the next, who sleeps for it") {
  SharedMemory memory;
  Child holder([&] {
    memory->lock.lock(1);
    memory->raised = 1;
    while (true) ::pause();
    return 0;
  });
  await(memory->raised);
  Child next([&] {
    memory->lock.lock(2);
    return memory->lock.abandoned() ? 3 : 4;
  });
  holder.kill(SIGKILL);
  holder.wait();
  CHECK(memory->lock.held_by(1));
  CHECK(memory->lock.abandon(1));
  CHECK(next.wait() == 3);
  CHECK(memory->lock.abandon(2));  // it ended without unlocking
  CHECK_FALSE(memory->lock.abandon(2));
  REQUIRE(memory->lock.try_lock(3));
  CHECK(memory->lock.abandoned());
  memory->lock.unlock();
  CHECK_FALSE(memory->lock.abandoned());
}

TEST_CASE("root takes over the lock of the dead and of nobody else") {
  OwnerLock lock;
  lock.lock(1);
  CHECK_FALSE(lock.take_over(2));
  CHECK(lock.take_over(1));
  CHECK(lock.held_by(kRootSlot));
  lock.unlock();
  CHECK_FALSE(lock.take_over(1));
}

TEST_CASE("a word that no lock writes is told, not waited for") {
  OwnerLock lock;
  *reinterpret_cast<std::uint32_t*>(&lock) = 0x12345678;
  CHECK_THROWS_AS(lock.lock(1), troupe::ProtocolError);
}
