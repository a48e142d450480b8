#include <troupe/wait.h>

#include <poll.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <string>
#include <thread>
#include <vector>

#include <troupe/errors.h>
#include <troupe/process.h>
#include <troupe/sync.h>

#include "support/catch.h"
#include "support/leftovers.h"

using namespace std::chrono_literals;
using namespace troupe;

namespace {

using Ready = std::vector<Waitable>;

bool readable(int descriptor, int timeout_ms) {
  pollfd one{.fd = descriptor, .events = POLLIN, .revents = 0};
  return ::poll(&one, 1, timeout_ms) == 1;
}

constexpr int kForeverMs = 30'000;

}  // namespace

TEST_CASE("wait tells which are ready, at once or in time") {
  const test::Leftovers leftovers;
  const auto transport = GENERATE(PipeTransport::ring, PipeTransport::socket);
  auto [a, b] = Pipe(PipeOptions{.transport = transport});
  Queue<int> queue;
  CHECK(wait({}).empty());
  CHECK(wait({a, b, queue}, 0s).empty());
  CHECK(wait({a, b, queue}, 1ms).empty());
  b.send(1);
  CHECK(wait({a, b, queue}) == Ready{a});
  queue.put(1);
  CHECK(wait({queue, b, a}) == Ready{queue, a});
  CHECK(a.recv<int>() == 1);
  CHECK(wait({a, queue}, 1h) == Ready{queue});
  b.close();
  CHECK(wait({a}) == Ready{a});
  CHECK_THROWS_AS(a.recv<int>(), EndOfFile);
  CHECK_THROWS_AS(wait({b}), std::logic_error);
  CHECK_THROWS_AS(wait({-1}, 0s), SystemError);
  CHECK_THROWS_AS(wait(std::vector<Waitable>(128, queue)), std::invalid_argument);
}

TEST_CASE("wait sleeps until a process sends, puts, closes or dies") {
  const auto transport = GENERATE(PipeTransport::ring, PipeTransport::socket);
  // From the first thread on, a process has a descriptor more for its talks with root.
  std::thread([] {}).join();
  Process first([] {});
  first.start();
  first.join();
  const test::Leftovers leftovers;
  auto [ours, theirs] = Pipe(PipeOptions{.transport = transport});
  Queue<int> numbers, go;
  SimpleQueue<std::string> words;
  Process child(
      [](Connection pipe, Queue<int> to, SimpleQueue<std::string> other, Queue<int> when) {
        when.get(), pipe.send("a");
        when.get(), to.put(1);
        when.get(), other.put("b");
        when.get(), to.close();
        when.get(), ::kill(::getpid(), SIGKILL);
      },
      theirs, numbers, words, go);
  child.start();
  theirs.close();
  const auto next = [&, &ours = ours] {
    std::thread later([&] { go.put(0); });
    const auto ready = wait({ours, numbers, words, child.sentinel()});
    later.join();
    return ready;
  };
  CHECK(next() == Ready{ours});
  CHECK(ours.recv<std::string>() == "a");
  CHECK(next() == Ready{numbers});
  CHECK(numbers.get() == 1);
  CHECK(next() == Ready{words});
  CHECK(words.get() == "b");
  CHECK(next() == Ready{numbers});
  CHECK_THROWS_AS(numbers.get(), QueueClosed);
  std::thread later([&] { go.put(0); });
  CHECK(wait({child.sentinel(), words}) == Ready{child.sentinel()});  // a descriptor besides a queue
  later.join();
  CHECK(wait({ours}) == Ready{ours});
  CHECK_THROWS_AS(ours.recv<int>(), EndOfFile);
  child.join();
}

TEST_CASE("queues of other orders are waited for as well") {
  const test::Leftovers leftovers;
  LifoQueue<int> stack;
  PriorityQueue<int> tasks;
  CHECK(wait({stack, tasks}, 1ms).empty());
  Process child([](LifoQueue<int> to) { to.put(1); }, stack);
  child.start();
  CHECK(wait({tasks, stack}) == Ready{stack});
  child.join();
  CHECK(stack.get() == 1);
  tasks.close(), stack.close();
  CHECK(wait({tasks, stack}) == Ready{tasks, stack});
}

TEST_CASE("wait for sentinels alone, and in time") {
  const test::Leftovers leftovers;
  Queue<int> go;
  Process one([](Queue<int> when) { when.get(); }, go), two([](Queue<int> when) { when.get(); }, go);
  one.start(), two.start();
  CHECK(wait({one.sentinel(), two.sentinel()}, 1ms).empty());
  CHECK(wait({one.sentinel(), two.sentinel(), go}, 1ms).empty());
  go.put(1);
  const auto ready = wait({one.sentinel(), two.sentinel()});
  REQUIRE(ready.size() == 1);
  go.put(1);
  one.join(), two.join();
  CHECK(wait({one.sentinel(), two.sentinel()}).size() == 2);
}

TEST_CASE("who waits takes no wake-up from those who get") {
  const test::Leftovers leftovers;
  Queue<int> numbers;
  Queue<int> got;
  constexpr int kItems = 500;
  std::vector<Process> processes;
  for (int i = 0; i < 2; ++i) {
    processes.emplace_back(
        [](Queue<int> from, Queue<int> to) {
          for (const int number : from) to.put(number);
        },
        numbers, got);
    processes.emplace_back(
        [](Queue<int> from) {
          while (!from.closed()) wait({from});
        },
        numbers);
  }
  for (auto& process : processes) process.start();
  for (int i = 0; i < kItems; ++i) {
    numbers.put(i);
    REQUIRE(got.get(30s) == i);  // nobody sleeps over it
  }
  numbers.close();
  for (auto& process : processes) process.join();
}

TEST_CASE("killed while they wait, those who wait leave others their wake-ups") {
  const test::Leftovers leftovers;
  Queue<int> numbers, got, ready;
  Process getter(
      [](Queue<int> from, Queue<int> to) {
        for (const int number : from) to.put(number);
      },
      numbers, got);
  getter.start();
  for (int i = 0; i < 20; ++i) {
    Process waits(
        [](Queue<int> from, Queue<int> to) {
          to.put(0);
          while (true) wait({from});
        },
        numbers, ready);
    waits.start();
    ready.get(30s);
    numbers.put(2 * i);
    waits.kill();
    numbers.put(2 * i + 1);
    CHECK(got.get(30s) == 2 * i);
    CHECK(got.get(30s) == 2 * i + 1);
    waits.join();
  }
  numbers.close();
  getter.join();
}

TEST_CASE("fileno is readable while something can be received, and at the end of the file") {
  const test::Leftovers leftovers;
  const auto transport = GENERATE(PipeTransport::ring, PipeTransport::socket);
  auto [ours, theirs] = Pipe(PipeOptions{.transport = transport});
  const int descriptor = ours.fileno();
  CHECK(ours.fileno() == descriptor);
  CHECK_FALSE(readable(descriptor, 0));
  for (int i = 0; i < 50; ++i) {
    theirs.send(i), theirs.send(i);
    CHECK(readable(descriptor, kForeverMs));
    CHECK(ours.recv<int>() == i);
    CHECK(readable(descriptor, kForeverMs));
    CHECK(ours.recv<int>() == i);
    CHECK_FALSE(readable(descriptor, 0));
  }
  CHECK(wait({descriptor}, 0s).empty());
  theirs.close();
  CHECK(readable(descriptor, kForeverMs));
  CHECK_THROWS_AS(ours.recv<int>(), EndOfFile);
  CHECK(readable(descriptor, kForeverMs));
  auto [in, out] = Pipe(PipeOptions{.duplex = false, .transport = transport});
  CHECK_THROWS_AS(out.fileno(), std::logic_error);
}

TEST_CASE("what a killed sender has left half sent is nothing to poll, wait and fileno, while another holds its end") {
  const test::Leftovers leftovers;
  auto [ours, theirs] = Pipe(PipeOptions{.duplex = false, .ring_bytes = 1024});
  const int descriptor = ours.fileno();
  Event go;
  Process sender([](Connection pipe) { pipe.send(std::string(100'000, 'x')); }, theirs);
  Process other(
      [](Connection pipe, Event told) {
        told.wait();
        for (const std::size_t size : {700, 5'000, 3}) pipe.send(std::string(size, 'y'));
      },
      theirs, go);
  sender.start();
  other.start();
  theirs.close();
  CHECK(ours.poll(30s));  // for it waits for room
  CHECK(readable(descriptor, kForeverMs));
  CHECK(wait({ours}, 30s).size() == 1);
  sender.kill();
  sender.join();
  while (readable(descriptor, 0)) std::this_thread::yield();
  CHECK_FALSE(ours.poll());
  CHECK_FALSE(ours.poll(1ms));
  CHECK(wait({ours}, 1ms).empty());
  SECTION("the rest is received with what comes next") {}
  SECTION("the rest is passed over") { CHECK_FALSE(ours.try_recv<std::string>()); }
  go.set();
  for (const std::size_t size : {700, 5'000, 3}) {
    const auto ready = size == 700 ? ours.poll(30s) : size == 5'000 ? wait({ours}, 30s).size() == 1 : readable(descriptor, kForeverMs);
    CHECK(ready);
    CHECK(ours.try_recv<std::string>() == std::string(size, 'y'));
  }
  other.join();
  CHECK(ours.poll(30s));
  CHECK_THROWS_AS(ours.recv<int>(), EndOfFile);
}
