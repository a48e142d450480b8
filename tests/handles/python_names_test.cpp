#include <troupe/troupe.h>

#include <poll.h>

#include <array>
#include <chrono>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "support/catch.h"

// Every method of Python's queues, connections, locks and shared values: what it returns, and what it throws. (What holds when somebody
// is killed is tested elsewhere.) A time-out of zero or less does not wait, as in multiprocessing.
using namespace troupe;
using namespace std::chrono_literals;

namespace {

constexpr Duration kCenturies = std::chrono::hours(24 * 365 * 250);

// In no time, and after a while.
template <class Wait>
void check_waits(const Wait& wait) {
  wait(0s), wait(-1s), wait(Duration::min());
  const auto begin = Clock::now();
  wait(2ms);
  CHECK(Clock::now() - begin >= 2ms);
}

bool held_by_another(RLock& lock) {
  bool refused = false;
  std::thread([&] { refused = !lock.acquire(false); }).join();
  return refused;
}

}  // namespace

TEMPLATE_TEST_CASE("put and get, blocking or not, with and without a time-out", "", Queue<int>, LifoQueue<int>, PriorityQueue<int>,
                   JoinableQueue<int>) {
  TestType queue(2);
  CHECK(queue.empty());
  check_waits([&](Duration timeout) {
    CHECK_THROWS_AS(queue.get(timeout), Empty);
    CHECK_THROWS_AS(queue.get(true, timeout), Empty);
    CHECK_THROWS_AS(queue.lease(timeout), Empty);
    CHECK_FALSE(queue.try_get(timeout));
    CHECK_FALSE(queue.try_lease(timeout));
    CHECK(queue.get_many(3, timeout).empty());
  });
  CHECK_THROWS_AS(queue.get_nowait(), Empty);
  CHECK_THROWS_AS(queue.get(false), Empty);
  CHECK_THROWS_AS(queue.get(false, kForever), Empty);

  queue.put(1, kCenturies);
  queue.put(1, true, kCenturies);
  CHECK(queue.full());
  CHECK(queue.qsize() == 2);
  check_waits([&](Duration timeout) {
    CHECK_THROWS_AS(queue.put(2, timeout), Full);
    CHECK_THROWS_AS(queue.put(2, true, timeout), Full);
    CHECK(queue.put_many({2, 2}, timeout) == 0);
  });
  CHECK_THROWS_AS(queue.put_nowait(2), Full);
  CHECK_THROWS_AS(queue.put(2, false), Full);
  CHECK_THROWS_AS(queue.put(2, false, kForever), Full);
  CHECK_FALSE(queue.try_put(2));

  CHECK(queue.get(kCenturies) == 1);
  CHECK(queue.get(true, kCenturies) == 1);
  CHECK(queue.put_many({3, 3, 3}, 0s) == 2);
  CHECK(queue.get_many(0).empty());
  CHECK(queue.get_many(9) == std::vector{3, 3});

  queue.put(4);
  queue.close(), queue.close();
  CHECK(queue.closed());
  CHECK_THROWS_AS(queue.put(5), QueueClosed);
  CHECK_THROWS_AS(queue.put(5, false), QueueClosed);
  CHECK_THROWS_AS(queue.put_nowait(5), QueueClosed);
  CHECK_THROWS_AS(queue.try_put(5), QueueClosed);
  CHECK_THROWS_AS(queue.put_many({5}), QueueClosed);
  CHECK(queue.get() == 4);
}

TEST_CASE("a queue without a maximum, or with one of zero or less, takes all") {
  for (Queue<int> queue : {Queue<int>(), Queue<int>(0), Queue<int>(-1)}) {
    for (int i = 0; i < 1000; ++i) queue.put_nowait(i);
    CHECK_FALSE(queue.full());
    CHECK(queue.qsize() == 1000);
  }
}

TEST_CASE("put, get, empty and close are all that a SimpleQueue has") {
  SimpleQueue<std::string> queue;
  CHECK(queue.empty());
  queue.put("x");
  CHECK_FALSE(queue.empty());
  CHECK(queue.get() == "x");
  queue.close(), queue.close();
  CHECK_THROWS_AS(queue.put("x"), QueueClosed);
  CHECK_THROWS_AS(queue.get(), QueueClosed);
}

TEST_CASE("task_done() once for each item, however it was got") {
  JoinableQueue<int> queue;
  CHECK(queue.join(0s));
  CHECK_THROWS_AS(queue.task_done(), std::logic_error);
  for (int i = 0; i < 5; ++i) queue.put(i);
  check_waits([&](Duration timeout) { CHECK_FALSE(queue.join(timeout)); });
  CHECK(queue.get() == 0);
  CHECK(queue.try_get() == 1);
  CHECK(queue.get_many(2) == std::vector{2, 3});
  {
    const auto last = queue.lease();
    for (int i = 0; i < 4; ++i) queue.task_done();
    CHECK_THROWS_AS(queue.task_done(), std::logic_error);
    CHECK_FALSE(queue.join(0s));
  }
  const auto report = queue.join();
  CHECK(report.done == 5);
  CHECK(report.redelivered == 0);
}

TEST_CASE("a connection's methods") {
  const auto transport = GENERATE(PipeTransport::ring, PipeTransport::socket);
  auto [first, second] = Pipe({.transport = transport});
  CHECK(first.readable());
  CHECK(first.writable());
  CHECK_FALSE(first.closed());
  check_waits([&, &end = first](Duration timeout) {
    CHECK_FALSE(end.poll(timeout));
    CHECK_FALSE(end.try_recv<int>(timeout));
    CHECK_FALSE(end.try_recv_bytes(timeout));
  });
  second.send(1);
  CHECK(first.poll());
  CHECK(first.poll(kForever));
  CHECK(first.recv<int>() == 1);

  second.send_bytes("four");
  std::array<std::byte, 6> buffer{};
  CHECK(first.recv_bytes_into(buffer) == 4);
  CHECK(buffer[3] == std::byte{'r'});
  CHECK(buffer[4] == std::byte{0});
  second.send_bytes("too long");
  try {
    first.recv_bytes_into(buffer);
    FAIL("a buffer that is too short was long enough");
  } catch (const BufferTooShort& error) {
    CHECK(error.bytes().size() == 8);
    CHECK(error.what() == std::string("a buffer is too short for the 8 bytes that were received"));
  }
  second.send_bytes("");
  CHECK(first.try_recv_bytes(kCenturies)->empty());

  second.send(2);
  second.close(), second.close();
  CHECK(second.closed());
  CHECK_THROWS_AS(second.send(1), std::logic_error);
  CHECK_THROWS_AS(second.poll(), std::logic_error);
  CHECK_THROWS_AS(second.fileno(), std::logic_error);
  CHECK(first.recv<int>() == 2);
  CHECK(first.poll(kForever));  // root tells of it
  CHECK_THROWS_AS(first.recv<int>(), EndOfFile);
  CHECK_THROWS_AS(first.try_recv_bytes(), EndOfFile);
  CHECK_THROWS_AS(first.recv_bytes_into(buffer), EndOfFile);
  CHECK_THROWS_AS(first.send(1), BrokenPipe);
  CHECK_THROWS_AS(first.send_bytes("x"), BrokenPipe);
}

TEST_CASE("the ends of a pipe that goes one way") {
  auto [from, to] = Pipe(false);
  CHECK(from.readable());
  CHECK_FALSE(from.writable());
  CHECK_FALSE(to.readable());
  CHECK(to.writable());
  CHECK_THROWS_AS(from.send(1), std::logic_error);
  CHECK_THROWS_AS(to.recv<int>(), std::logic_error);
  CHECK_THROWS_AS(to.poll(), std::logic_error);
}

TEST_CASE("acquire and release of locks") {
  Lock lock;
  CHECK(lock.acquire());
  CHECK(lock.locked());
  CHECK_FALSE(lock.acquire(false));
  check_waits([&](Duration timeout) { CHECK_FALSE(lock.acquire(true, timeout)); });
  std::thread([&] { lock.release(); }).join();
  CHECK_THROWS_AS(lock.release(), NotHeld);
  CHECK(lock.acquire(true, kCenturies));
  lock.release();

  RLock again;
  CHECK(again.acquire());
  CHECK(again.acquire(false));
  again.release();
  CHECK(held_by_another(again));
  std::thread([&] { CHECK_THROWS_AS(again.release(), NotHeld); }).join();
  again.release();
  CHECK_THROWS_AS(again.release(), NotHeld);

  const std::scoped_lock both(lock, again);
  CHECK(std::unique_lock(again, std::try_to_lock).owns_lock());
}

TEST_CASE("acquire and release of semaphores") {
  Semaphore semaphore(1);
  CHECK(semaphore.acquire());
  CHECK_FALSE(semaphore.acquire(false));
  check_waits([&](Duration timeout) { CHECK_FALSE(semaphore.acquire(true, timeout)); });
  semaphore.release(3);
  CHECK(semaphore.get_value() == 3);
  CHECK_THROWS_AS(semaphore.release(0), std::invalid_argument);
  CHECK_THROWS_AS(semaphore.release(2147483647), std::overflow_error);
  CHECK_THROWS_AS(Semaphore(static_cast<std::uint32_t>(-1)), std::invalid_argument);
  BoundedSemaphore bounded(1);
  CHECK_THROWS_AS(bounded.release(), ReleasedTooOften);
}

TEST_CASE("an event, a condition and a barrier, alone") {
  Event event;
  check_waits([&](Duration timeout) { CHECK_FALSE(event.wait(timeout)); });
  event.set(), event.set();
  CHECK(event.wait(-1s));
  event.clear();
  CHECK_FALSE(event.is_set());

  Condition condition;
  CHECK_THROWS_AS(condition.wait(0s), NotHeld);
  CHECK_THROWS_AS(condition.notify(), NotHeld);
  CHECK_THROWS_AS(condition.notify_all(), NotHeld);
  CHECK_THROWS_AS(condition.release(), NotHeld);
  {
    const std::scoped_lock hold(condition);
    check_waits([&](Duration timeout) {
      CHECK_FALSE(condition.wait(timeout));
      CHECK_FALSE(condition.wait_for([] { return false; }, timeout));
      CHECK(condition.wait_for([] { return true; }, timeout));
    });
    condition.notify(0), condition.notify(9), condition.notify_all();
  }

  Barrier barrier(2);
  CHECK(barrier.parties() == 2);
  CHECK(barrier.n_waiting() == 0);
  check_waits([&](Duration timeout) {
    CHECK_THROWS_AS(barrier.wait(timeout), BrokenBarrierError);
    CHECK(barrier.broken());
    barrier.reset();
    CHECK_FALSE(barrier.broken());
  });
  barrier.abort();
  CHECK_THROWS_AS(barrier.wait(), BrokenBarrierError);
  CHECK(Barrier(1).wait() == 0);
  CHECK_THROWS_AS(Barrier(0), std::invalid_argument);
  CHECK_THROWS_AS(Barrier(static_cast<std::uint32_t>(-1)), std::invalid_argument);
}

namespace {
struct Record {  // could not be sent, but lies in shared memory
  char name[16];
  double cells[2][2];
};
}  // namespace

TEST_CASE("shared values of what is trivially copyable, though it could not be sent") {
  const auto change = [](Value<Record> value, Array<Record> array, RawValue<Record> raw, RawArray<Record> several) {
    value.set({"Ann", {}});
    array[1].cells[1][1] = 2;
    raw.value() = value.get();
    several[0] = array.get(1);
  };
  Value<Record> value;
  Array<Record> array(2);
  RawValue<Record> raw;
  RawArray<Record> several(1);
  Process process(change, value, array, raw, several);
  process.start();
  process.join();
  REQUIRE(process.exitcode() == 0);
  CHECK(raw.value().name == std::string("Ann"));
  CHECK(several.at(0).cells[1][1] == 2);
  CHECK_THROWS_AS(array.at(2), std::out_of_range);
}

TEST_CASE("who expects another handle is told both, in words") {
  auto [to, from] = Pipe();
  const auto told = [&, &to = to, &from = from]<class Expected>(const auto& handle, Expected*) -> std::string {
    to.send(handle);
    try {
      static_cast<void>(from.recv<Expected>());
    } catch (const TypeMismatch& error) {
      return error.what();
    }
    return "";
  };
  constexpr Queue<std::string>* kStrings = nullptr;
  CHECK(told(Queue<int>(), kStrings) == "expected queue<string>, got queue<int>");
  CHECK(told(JoinableQueue<int>(), kStrings) == "expected queue<string>, got joinable queue<int>");
  CHECK(told(Value<int>(1), static_cast<Value<unsigned>*>(nullptr)) == "expected shared value<uint>, got shared value<int>");
  CHECK(told(BoundedSemaphore(1), static_cast<Semaphore*>(nullptr)) == "expected semaphore, got bounded semaphore");
  CHECK(told(Barrier(1), static_cast<Lock*>(nullptr)) == "expected lock, got barrier");
}
