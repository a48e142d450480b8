// A process that writes at random over all the memory that it shares with others: they get errors, and none of them crashes, nor does root.

#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <fstream>
#include <random>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <troupe/troupe.h>

#include "handles/shop.capnp.h"
#include "support/catch.h"

using namespace std::chrono_literals;
using namespace troupe;

namespace {

constexpr Duration kRound = 50ms;

class Shop final : public Actor {
 public:
  explicit Shop(Context& context) : Actor(context) {
    on<shop::Order>([](shop::Order::Reader) {});
    on<shop::Ask, shop::Goods>([](shop::Ask::Reader, shop::Goods::Builder) {});
  }
};

using Things = std::tuple<Queue<int>, LifoQueue<std::string>, PriorityQueue<int>, Lock, RLock, Semaphore, Event, Array<int>>;

// All memory that is shared under a name of ours.
std::vector<std::pair<std::uintptr_t, std::size_t>> shared_memory() {
  std::vector<std::pair<std::uintptr_t, std::size_t>> all;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.find("memfd:troupe") == std::string::npos || line.find("rw-s") == std::string::npos) continue;
    const auto dash = line.find('-');
    const auto begin = std::stoull(line.substr(0, dash), nullptr, 16);
    all.emplace_back(begin, std::stoull(line.substr(dash + 1), nullptr, 16) - begin);
  }
  return all;
}

// A link may have gone with its memory meanwhile.
void write(std::uintptr_t place, std::uint64_t value) {
  const iovec from{&value, sizeof value};
  const iovec to{reinterpret_cast<void*>(place), sizeof value};
  ::process_vm_writev(::getpid(), &from, 1, &to, 1, 0);
}

// It may crash itself: its own code reads what it wrote.
void scribble(Things things, Connection pipe, unsigned seed) {
  static_cast<void>(things), static_cast<void>(pipe);
  const Address shop = look_up("shop", 30s);
  static_cast<void>(ask<shop::Ask, shop::Goods>(shop).get(30s));
  const auto memory = shared_memory();
  std::mt19937_64 random(seed);
  const auto end = Clock::now() + kRound;
  while (Clock::now() < end) {
    for (int i = 0; i < 50; ++i) {
      const auto& [begin, size] = memory[random() % memory.size()];
      const std::size_t range = std::min<std::size_t>(size, random() % 2 == 0 ? 4096 : 4 << 20);
      write(begin + random() % (range / 8) * 8, random() % 2 == 0 ? random() : random() % 600);
    }
    if (random() % 64 == 0) shop.send<shop::Order>([](shop::Order::Builder) {});
  }
}

template <class Work>
void try_it(Work work) {
  try {
    work();
  } catch (const std::exception&) {
  }
}

constexpr int kUses = 9;

// Those that have come so far have opened what they share: it is not spoilt before.
void use(Things things, int which, Semaphore opened) {
  opened.release();
  auto& [queue, stack, ranked, lock, again, permits, event, numbers] = things;
  const auto end = Clock::now() + kRound;
  for (int i = 0; Clock::now() < end; ++i) {
    try_it([&] {
      switch (which) {
        case 0: queue.put(i, 1ms), queue.put(i, 1ms), static_cast<void>(queue.try_get(1ms)); return;
        case 1: static_cast<void>(queue.try_lease(1ms)); return;
        case 2: stack.put(std::string(static_cast<std::size_t>(i) % 40'000, 'x'), 1ms), static_cast<void>(stack.try_get(1ms)); return;
        case 3: ranked.put(i, 1ms), static_cast<void>(ranked.try_lease(1ms)); return;
        case 4: if (lock.acquire(true, 1ms)) lock.release(); return;
        case 5: if (again.acquire(true, 1ms)) again.release(); return;
        case 6: if (permits.acquire(true, 1ms)) permits.release(); return;
        case 7: event.set(), event.wait(1ms), event.clear(); return;
        default: numbers[static_cast<std::size_t>(i) % 100] = i; return;
      }
    });
  }
}

void echo(Connection pipe, Semaphore opened) {
  opened.release();
  const auto end = Clock::now() + kRound;
  while (Clock::now() < end) {
    try_it([&] {
      pipe.send(std::string(100, 'x'));
      static_cast<void>(pipe.try_recv<std::string>(1ms));
    });
  }
}

// Who waits for a lock that seems to be held waits for ever, as for one that is stopped: that is no crash. Each has had its time.
void end(Process& process) {
  if (!process.join(kRound / 10)) process.kill();
  process.join();
  INFO(process.death()->describe());
  CHECK((process.exitcode() == 0 || process.exitcode() == -SIGKILL));
}

void scribble_for(Duration time) {
  const unsigned seed = std::random_device()();
  INFO("seed " << seed);
  Supervisor supervisor("", {.max_restarts = 0, .children = {Child::actor<Shop>("shop")}});
  supervisor.start();
  const auto until = Clock::now() + time;
  for (unsigned round = 0; Clock::now() < until; ++round) {
    const Things things{{}, {}, {}, {}, {}, Semaphore(3), {}, Array<int>(100)};
    Semaphore opened(0);
    auto [ours, theirs] = Pipe();
    Process scribbler(scribble, things, theirs, seed + round);
    std::vector<Process> users;
    for (int which = 0; which < kUses; ++which) users.emplace_back(use, things, which, opened);
    users.emplace_back(echo, ours, opened);
    for (Process& user : users) user.start();
    for (std::size_t i = 0; i < users.size(); ++i) REQUIRE(opened.acquire(true, 30s));
    scribbler.start();
    ours.close(), theirs.close();
    if (!scribbler.join(10 * kRound)) scribbler.kill();
    scribbler.join();
    for (Process& user : users) end(user);
  }
  CHECK_NOTHROW(ask<shop::Ask, shop::Goods>(look_up("shop", 30s)).get(30s));
  supervisor.stop();
}

}  // namespace

TEST_CASE("others do not crash because a process scribbles over what they share") { scribble_for(500ms); }
TEST_CASE("others do not crash because a process scribbles over what they share for ten seconds", "[.][soak]") { scribble_for(10s); }
