// A process that uses troupe forks by itself, as Python's users do: the child has copies of all handles, but nothing behind them is its own.
// Whatever it does, or unwinds, nothing of its parent's is given up; and it is told.

#include <unistd.h>

#include <cstdlib>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <troupe/troupe.h>

#include "support/catch.h"
#include "support/child.h"
#include "support/leftovers.h"

using namespace std::chrono_literals;
using namespace troupe;

namespace {

// It says why.
template <class Work>
bool refuses(Work work) {
  try {
    work();
  } catch (const std::logic_error& error) {
    return std::string(error.what()).find("forked") != std::string::npos;
  } catch (...) {
  }
  return false;
}

// How many of them a fork of this process does not refuse.
template <class... Work>
int not_refused(Work... work) {
  return troupe::test::Child([&] { return (0 + ... + (refuses(work) ? 0 : 1)); }).wait();
}

template <class Unwind>
void in_a_fork(Unwind unwind) {
  CHECK(troupe::test::Child([&] { return unwind(), 0; }).wait() == 0);
}

template <class Queues>
void check_leases() {
  Queues queue({.max_deliveries = 3});
  queue.put(1);
  std::optional<Leased<int>> item = queue.lease();
  in_a_fork([&] { item.reset(); });
  in_a_fork([&] { item->give_back(); });
  in_a_fork([&] { item->acknowledge(); });
  CHECK(queue.counts().leased == 1);
  item->give_back();
  CHECK(queue.get(30s) == 1);
  CHECK(queue.counts().redelivered == 1);
}

}  // namespace

TEST_CASE("a lease is not over because a fork of its process unwinds it") {
  const troupe::test::Leftovers leftovers;
  check_leases<Queue<int>>();
  check_leases<LifoQueue<int>>();
}

TEST_CASE("a lock and its kin stay held when a fork of their holder unwinds them") {
  const troupe::test::Leftovers leftovers;
  Lock lock;
  RLock again;
  Semaphore permits(1);
  Condition changed;
  lock.acquire(), again.acquire(), permits.acquire(), changed.acquire();
  in_a_fork([&] {
    lock.unlock(), again.unlock(), permits.unlock(), changed.unlock();
  });
  Process other(
      [](Lock a, RLock b, Semaphore c, Condition d) {
        return a.acquire(false) || b.acquire(false) || c.acquire(false) || d.acquire(false) ? 1 : 0;
      },
      lock, again, permits, changed);
  other.start(), other.join();
  CHECK(other.exitcode() == 0);
  lock.release(), again.release(), permits.release(), changed.release();
}

TEST_CASE("an end of a pipe stays open, and a block held, when a fork of their process closes them") {
  const troupe::test::Leftovers leftovers;
  for (const auto transport : {PipeTransport::ring, PipeTransport::socket}) {
    auto [one, other] = Pipe({.transport = transport});
    CHECK(one.fileno() >= 0);
    // Its threads are not there: nothing waits for them.
    in_a_fork([&one = one, &other = other] {
      Connection(std::move(one)).close();
      const Connection gone = std::move(other);
    });
    one.send(1);
    CHECK(other.recv<int>() == 1);
  }
  auto [one, other] = Pipe({.block_bytes = 1 << 20});
  std::optional block = one.make_block(4096);
  block->bytes()[0] = std::byte{7};
  in_a_fork([&] { block.reset(); });
  one.send(*block);
  CHECK(other.recv<Block>().bytes()[0] == std::byte{7});
}

TEST_CASE("a fork of a process that uses handles is told that they are not its own; raw memory is its own, too") {
  const troupe::test::Leftovers leftovers;
  Queue<int> queue;
  PriorityQueue<int> ranked;
  JoinableQueue<int> tasks;
  Queue<Lock> locks;
  queue.put(1), tasks.put(1);
  CHECK(not_refused([&] { queue.put(2); }, [&] { queue.get(); }, [&] { queue.lease(); }, [&] { static_cast<void>(queue.qsize()); },
                    [&] { queue.close(); }, [&] { static_cast<void>(queue.counts()); }, [&] { ranked.put(1); }, [&] { ranked.try_get(); },
                    [&] { tasks.get(); }, [&] { tasks.join(); }, [&] { static_cast<void>(wait({queue}, 0s)); },
                    [&] { static_cast<void>(Queue<int>()); }) == 0);
  Lock lock;
  RLock again;
  Semaphore permits;
  Event event;
  Condition changed;
  Barrier all(2);
  Value<int> value(1);
  CHECK(not_refused([&] { lock.acquire(); }, [&] { lock.release(); }, [&] { again.acquire(false); }, [&] { permits.acquire(); },
                    [&] { permits.release(); }, [&] { event.set(); }, [&] { event.wait(0s); }, [&] { changed.acquire(); },
                    [&] { changed.notify(); }, [&] { all.wait(); }, [&] { all.abort(); }, [&] { value.set(3); }, [&] { locks.put(lock); }) == 0);
  auto ends = Pipe();
  Connection &one = ends.first, &other = ends.second;
  const std::string bytes = "so often that it goes at once";
  for (int i = 0; i < 20; ++i) one.send_bytes(bytes), static_cast<void>(other.recv_bytes());
  one.send_bytes(bytes);
  CHECK(not_refused([&] { one.send(1); }, [&] { one.send_bytes(bytes); }, [&] { other.recv<int>(); }, [&] { other.recv_bytes(); },
                    [&] { static_cast<void>(other.poll()); }, [&] { static_cast<void>(wait({other}, 0s)); }, [&] { Process([] {}).start(); }) == 0);
  RawArray<int> numbers(3);
  in_a_fork([&] { numbers[2] = 5; });
  CHECK(numbers[2] == 5);
  CHECK(queue.get() == 1);
  CHECK(value.get() == 1);
  CHECK_FALSE(event.is_set());
}

TEST_CASE("a fork that exits as a program does unwinds what is static, and ends well") {
  const troupe::test::Leftovers leftovers;
  Process parent([] {
    static Queue<int> queue;
    static auto pipe = Pipe();
    static const int descriptor = pipe.first.fileno();
    static std::optional<Leased<int>> item;
    queue.put(descriptor);
    item = queue.lease();
    const int code = troupe::test::Child([]() -> int { std::exit(3); }).wait();
    return code == 3 && queue.counts().leased == 1 ? 0 : 1;
  });
  parent.start();
  REQUIRE(parent.join(60s));
  CHECK(parent.exitcode() == 0);
}
