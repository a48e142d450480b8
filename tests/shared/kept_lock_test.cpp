#include "shared/kept_lock.h"

#include <unistd.h>

#include <chrono>
#include <csignal>
#include <new>
#include <thread>
#include <vector>

#include "os/memory.h"
#include "support/catch.h"
#include "support/child.h"

using namespace std::chrono_literals;
using troupe::Clock;
using troupe::shared::Held;
using troupe::shared::KeptLock;
using troupe::shared::kRootSlot;
using troupe::test::Child;

namespace {

constexpr auto kForever = Clock::time_point::max();

struct Shared {
  KeptLock lock;
  std::atomic<std::uint32_t> raised{0};
  std::uint64_t counter = 0;
};

struct SharedMemory {
  troupe::os::Mapping mapping{troupe::os::make_shared_memory("test", sizeof(Shared)), sizeof(Shared)};
  Shared* shared = new (mapping.bytes().data()) Shared;
  SharedMemory() { shared->lock.allow_keeping(); }
  Shared* operator->() const { return shared; }
};

void await(const std::atomic<std::uint32_t>& raised, std::uint32_t value = 1) {
  while (raised.load() < value) std::this_thread::yield();
}

void use(KeptLock::User& user, int times) {
  for (int i = 0; i < times; ++i) REQUIRE(Held(user, kForever));
}

// As often as it takes, however often it was taken from a keeper before.
void use_until_kept(KeptLock& lock, KeptLock::User& user) {
  for (int i = 0; i < 10'000'000 && !lock.is_kept(); ++i) static_cast<void>(Held(user, kForever));
  REQUIRE(lock.is_kept());
}

}  // namespace

TEST_CASE("a lock is kept by who takes it again and again") {
  SharedMemory memory;
  KeptLock::User user(memory->lock, 3);
  use(user, 8);
  CHECK_FALSE(memory->lock.is_kept());
  use(user, 8);
  CHECK(memory->lock.is_kept());
  CHECK_FALSE(memory->lock.holder());
  Held held(user, kForever);
  CHECK(memory->lock.holder() == 3U);
  held.release();
  CHECK_FALSE(memory->lock.holder());
}

TEST_CASE("who keeps a lock enters and leaves it, and learns when somebody wants it") {
  SharedMemory memory;
  KeptLock::User user(memory->lock, 3), other(memory->lock, 4);
  CHECK_FALSE(user.enter());
  use_until_kept(memory->lock, user);
  REQUIRE(user.enter());
  CHECK(memory->lock.holder() == 3);
  std::thread wants([&] { CHECK(Held(other, kForever)); });
  while (user.leave() && user.enter()) {
  }
  user.give_up();
  wants.join();
  CHECK_FALSE(user.enter());
  CHECK(Held(user, kForever));
  std::thread([&] { CHECK_FALSE(user.enter()); }).join();
}

TEST_CASE("a lock that may not be kept is an ordinary one") {
  KeptLock lock;
  KeptLock::User user(lock, 3);
  use(user, 100);
  CHECK_FALSE(lock.is_kept());
  const Held held(user, kForever);
  CHECK(lock.holder() == 3U);
}

TEST_CASE("a kept lock is taken from a keeper that is not busy, and not from one that is") {
  SharedMemory memory;
  KeptLock::User keeper(memory->lock, 1), other(memory->lock, 2);
  use_until_kept(memory->lock, keeper);
  {
    const Held held(other, kForever);
    REQUIRE(held);
    CHECK(memory->lock.holder() == 2U);
    CHECK_FALSE(Held(keeper, Clock::now() + 1ms));
  }
  use_until_kept(memory->lock, keeper);
  {
    const Held held(keeper, kForever);
    CHECK_FALSE(Held(other, Clock::now() + 1ms));
    CHECK(memory->lock.holder() == 1U);
  }
  CHECK(Held(other, kForever));
  CHECK(Held(keeper, kForever));
}

TEST_CASE("the more often a kept lock is taken away, the longer it takes to keep it") {
  SharedMemory memory;
  KeptLock::User keeper(memory->lock, 1), other(memory->lock, 2);
  int uses = 0;
  const auto again = [&] {
    for (uses = 0; !memory->lock.is_kept(); ++uses) REQUIRE(Held(keeper, kForever));
    use(other, 1);
    return uses;
  };
  const int first = again();
  again();
  CHECK(again() >= 3 * first);
}

TEST_CASE("two who take turns do not keep a lock") {
  SharedMemory memory;
  KeptLock::User one(memory->lock, 1), two(memory->lock, 2);
  for (int i = 0; i < 1000; ++i) use(one, 4), use(two, 4);
  CHECK_FALSE(memory->lock.is_kept());
}

TEST_CASE("threads of a process take a kept lock from one another") {
  SharedMemory memory;
  KeptLock::User user(memory->lock, 1);
  use_until_kept(memory->lock, user);
  std::thread([&] {
    CHECK(Held(user, kForever));
    for (int i = 0; i < 1'000; ++i) CHECK(Held(user, kForever));
    CHECK_FALSE(memory->lock.is_kept());  // the first has not noticed yet
  }).join();
  use(user, 1);
  std::thread([&] { use_until_kept(memory->lock, user); }).join();
  use(user, 1);
}

TEST_CASE("a process keeps a lock again though the thread that kept it has ended without a word") {
  SharedMemory memory;
  KeptLock::User user(memory->lock, 1), other(memory->lock, 2);
  for (const bool is_robbed : {true, false, true}) {
    std::thread([&] { use_until_kept(memory->lock, user); }).join();
    if (is_robbed) use(other, 1);
    else use(user, 1);
    CHECK_FALSE(memory->lock.is_kept());
    use_until_kept(memory->lock, user);
    use(other, 1);
    use(user, 1);
  }
}

// What a thread leaves to its end.
namespace {
struct UsedAtTheEnd {
  KeptLock::User* user = nullptr;
  ~UsedAtTheEnd() {
    if (user) use(*user, 1'000);
  }
};
}  // namespace

TEST_CASE("a thread may use a lock until its very end") {
  SharedMemory memory;
  KeptLock::User user(memory->lock, 1);
  std::thread([&] {
    thread_local UsedAtTheEnd end;
    end.user = &user;
    use_until_kept(memory->lock, user);
  }).join();
  CHECK(memory->lock.is_kept());
  std::thread([&] { CHECK(Held(user, kForever)); }).join();
}

TEST_CASE("a forked child is not the keeper that its parent was") {
  SharedMemory memory;
  KeptLock::User user(memory->lock, 1);
  use_until_kept(memory->lock, user);
  const Held held(user, kForever);
  Child child([&] { return Held(user, Clock::now() + 1ms) ? 1 : 0; });
  CHECK(child.wait() == 0);
}

TEST_CASE("nor does it come to keep the lock, whose seat is its parent's") {
  SharedMemory memory;
  KeptLock::User user(memory->lock, 1);
  use(user, 1);
  Child child([&] {
    for (int i = 0; i < 1'000; ++i)
      if (!Held(user, kForever)) return 1;
    return memory->lock.is_kept() ? 2 : 0;
  });
  CHECK(child.wait() == 0);
  use_until_kept(memory->lock, user);
}

TEST_CASE("processes and threads exclude one another, whoever keeps the lock") {
  SharedMemory memory;
  constexpr int kRounds = 30, kUses = 2'000;
  const auto add = [&](KeptLock::User& user) {
    for (int round = 0; round < kRounds; ++round) {
      for (int i = 0; i < kUses; ++i) {
        const Held held(user, kForever);
        const std::uint64_t before = memory->counter;
        std::atomic_signal_fence(std::memory_order_seq_cst);
        memory->counter = before + 1;
      }
      std::this_thread::yield();
    }
  };
  const auto in_child = [&](std::uint32_t slot) {
    return [&, slot] {
      KeptLock::User user(memory->lock, slot);
      add(user);
      return 0;
    };
  };
  Child one(in_child(1)), two(in_child(2));
  KeptLock::User user(memory->lock, 0);
  std::thread thread([&] { add(user); });
  add(user);
  thread.join();
  CHECK(one.wait() == 0);
  CHECK(two.wait() == 0);
  CHECK(memory->counter == 4 * kRounds * kUses);
}

TEST_CASE("who sleeps for a kept lock gets it from the keeper, or from root when that was killed") {
  SharedMemory memory;
  const bool killed = GENERATE(false, true);
  Child keeper([&] {
    KeptLock::User user(memory->lock, 1);
    use_until_kept(memory->lock, user);
    const Held held(user, kForever);
    memory->raised = 1;
    while (memory->raised != 3) std::this_thread::yield();
    return 0;
  });
  await(memory->raised);
  Child next([&] {
    KeptLock::User user(memory->lock, 2);
    if (Held(user, Clock::now() + 1ms)) return 1;  // marks it as wanted
    memory->raised = 2;
    return Held(user, kForever) ? 3 : 4;
  });
  await(memory->raised, 2);
  if (killed) {
    keeper.kill(SIGKILL);
    keeper.wait();
    CHECK(memory->lock.holder() == 1U);
    CHECK(memory->lock.abandon(1));
  } else {
    memory->raised = 3;
    CHECK(keeper.wait() == 0);
  }
  CHECK(next.wait() == 3);
  CHECK_FALSE(memory->lock.holder());
}

TEST_CASE("root repairs after a keeper that was busy, and just frees the lock of one that was not") {
  SharedMemory memory;
  const bool busy = GENERATE(false, true);
  Child keeper([&] {
    KeptLock::User user(memory->lock, 1);
    use_until_kept(memory->lock, user);
    Held held(user, kForever);
    if (!busy) held.release();
    memory->raised = 1;
    while (true) ::pause();
    return 0;
  });
  await(memory->raised);
  keeper.kill(SIGKILL);
  keeper.wait();
  CHECK(memory->lock.held_by_dead(1) == busy);
  CHECK_FALSE(memory->lock.take_over(2));
  CHECK(memory->lock.take_over(1) == busy);
  CHECK(memory->lock.holder().has_value() == busy);
  if (busy) {
    CHECK(memory->lock.holder() == kRootSlot);
    memory->lock.unlock();
  }
  KeptLock::User other(memory->lock, 2);
  use_until_kept(memory->lock, other);  // the dead one's seat is free
}

TEST_CASE("there are seats for a few keepers, the dead one's can be had again") {
  SharedMemory memory;
  std::vector<std::unique_ptr<KeptLock::User>> users;
  const auto keeps = [&](std::uint32_t slot) {
    users.push_back(std::make_unique<KeptLock::User>(memory->lock, slot));
    for (int i = 0; i < 10'000 && !memory->lock.is_kept(); ++i) use(*users.back(), 1);
    const bool kept = memory->lock.is_kept();
    KeptLock::User taker(memory->lock, 100);
    use(taker, 1);
    return kept;
  };
  for (std::uint32_t slot = 1; slot <= 4; ++slot) CHECK(keeps(slot));
  CHECK_FALSE(keeps(5));
  CHECK_FALSE(memory->lock.abandon(2));
  CHECK(keeps(6));
}
