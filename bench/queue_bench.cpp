// The queue in one memfd against Boost.Interprocess's message_queue and Python's Queue: 64 B items, capacity 1,000. With two CPUs,
// producers have one and consumers the other.
#include <sched.h>
#include <sys/stat.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <list>
#include <memory>
#include <mutex>
#include <queue>
#include <random>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include <boost/interprocess/ipc/message_queue.hpp>

#include "harness.h"
#include "queue/shared_queue.h"

namespace {

using namespace troupe::queue;

constexpr std::size_t kItem = 64;
constexpr std::uint64_t kCapacity = 1000;
constexpr std::size_t kBatch = 32;

enum class How { single, batch, lease };

// What the two kinds of queue have in common: work for one producer and one consumer of `items` each, in processes of their own.
struct Subject {
  std::function<void(std::uint32_t slot, std::uint64_t items)> produce, consume;
};

// Items a second through `sides` producers and as many consumers.
double rate(const bench::Placement& where, std::uint64_t items, std::uint32_t sides, const Subject& subject) {
  struct Start {
    std::atomic<std::uint32_t> ready{0}, go{0};
  };
  bench::Shared<Start> start;
  const auto on_start = [&](const std::function<void()>& work) {
    return [&start, work] {
      ++start->ready;
      while (start->go == 0) sched_yield();
      work();
    };
  };
  std::list<bench::Child> children;
  for (std::uint32_t i = 0; i < sides; ++i) {
    children.emplace_back(where.peer, on_start([&, i] { subject.produce(i, items / sides); }));
    children.emplace_back(where.self, on_start([&, i] { subject.consume(sides + i, items / sides); }));
  }
  while (start->ready < 2 * sides) sched_yield();
  const double begin = bench::now();
  start->go = 1;
  for (auto& child : children) child.join();
  return static_cast<double>(items / sides * sides) / (bench::now() - begin);
}

void check(bool holds, const char* what) {
  if (!holds) throw std::runtime_error(what);
}

void produce(SharedQueue& queue, How how, std::uint64_t items) {
  const Bytes item(kItem, std::byte{7});
  const std::vector<std::span<const std::byte>> batch(kBatch, std::span(item));
  for (std::uint64_t i = 0; i < items;) {
    if (how == How::batch) {
      i += queue.put_many(std::span(batch).first(std::min(kBatch, items - i)));
    } else {
      check(queue.put(item) == PutResult::done, "put");
      ++i;
    }
  }
}

void consume(SharedQueue& queue, How how, std::uint64_t items) {
  Bytes item;
  Items batch;
  Lease lease;
  for (std::uint64_t i = 0; i < items;) {
    if (how == How::batch) {
      check(queue.get_many(batch, std::min(kBatch, items - i)) == GetResult::item, "get_many");
      for (std::size_t k = 0; k < batch.size(); ++k) check(batch[k].back() == std::byte{7}, "item");
      i += batch.size();
      continue;
    }
    check((how == How::lease ? queue.lease(item, lease) : queue.get(item)) == GetResult::item, "get");
    check(item.size() == kItem && item.back() == std::byte{7}, "item");
    if (how == How::lease) queue.acknowledge(lease);
    ++i;
  }
}

double our_rate(const bench::Placement& where, std::uint64_t items, std::uint32_t sides, How how, Order order = Order::fifo) {
  const auto memory = std::make_shared<const QueueMemory>(QueueMemory::create({.items_max = kCapacity, .order = order}));
  const auto with = [&](auto work) {
    return [=](std::uint32_t slot, std::uint64_t count) {
      SharedQueue queue(memory, slot);
      work(queue, how, count);
    };
  };
  return rate(where, items, sides, {with(produce), with(consume)});
}

double boost_rate(const bench::Placement& where, std::uint64_t items, std::uint32_t sides) {
  namespace ipc = boost::interprocess;
  const std::string name = "troupe-bench-" + std::to_string(getpid());
  struct Remove {
    const std::string& name;
    ~Remove() { ipc::message_queue::remove(name.c_str()); }
  } remove{name};
  ipc::message_queue queue(ipc::create_only, name.c_str(), kCapacity, kItem);
  const auto send = [&](std::uint32_t, std::uint64_t count) {
    const std::vector<char> item(kItem, 7);
    for (std::uint64_t i = 0; i < count; ++i) queue.send(item.data(), item.size(), 0);
  };
  const auto receive = [&](std::uint32_t, std::uint64_t count) {
    std::vector<char> item(kItem);
    std::size_t size = 0;
    unsigned priority = 0;
    for (std::uint64_t i = 0; i < count; ++i) {
      queue.receive(item.data(), item.size(), size, priority);
      check(size == kItem && item.back() == 7, "item");
    }
  };
  return rate(where, items, sides, {send, receive});
}

double python_rate(std::uint64_t items) {
  const std::string script =
      "import multiprocessing as m, time\n"
      "def produce(q, n):\n"
      "  item = bytes(64)\n"
      "  for i in range(n): q.put(item)\n"
      "c = m.get_context(\"fork\"); q = c.Queue(1000); n = " + std::to_string(items) + "\n"
      "p = c.Process(target=produce, args=(q, n)); p.start(); q.get(); t = time.perf_counter()\n"
      "for i in range(n - 1): q.get()\n"
      "print((n - 1) / (time.perf_counter() - t)); p.join()\n";
  const std::string command = "PATH=/usr/bin:$PATH python3 -c '" + script + "' 2>/dev/null";
  const std::unique_ptr<FILE, int (*)(FILE*)> output(popen(command.c_str(), "re"), pclose);
  double result = 0;
  if (!output || std::fscanf(output.get(), "%lf", &result) != 1) throw std::runtime_error("python3 did not answer");
  return result;
}

// Nanoseconds a call, of one side of a queue that nobody else uses.
double uncontended_ns(bool put) {
  constexpr std::uint64_t kRounds = 2000;
  bench::pin(bench::Placement::one().self);
  SharedQueue queue(std::make_shared<const QueueMemory>(QueueMemory::create({.items_max = kCapacity})), 0);
  Bytes item(kItem, std::byte{7});
  double seconds = 0;
  for (std::uint64_t round = 0; round < kRounds; ++round) {
    const double begin = bench::now();
    for (std::uint64_t i = 0; i < kCapacity; ++i) queue.put(item);
    const double between = bench::now();
    for (std::uint64_t i = 0; i < kCapacity; ++i) queue.get(item);
    seconds += put ? between - begin : bench::now() - between;
  }
  return seconds / static_cast<double>(kRounds * kCapacity) * 1e9;
}

// Nanoseconds for a put and a get, while a thousand other items wait. Of random priority: their first eight bytes.
template <class Put, class Get>
double pair_ns(Put put, Get get) {
  constexpr std::uint64_t kPairs = 300'000;
  bench::pin(bench::Placement::one().self);
  std::mt19937_64 random(1);
  std::array<std::byte, kItem> item{};
  const auto put_one = [&] {
    const std::uint64_t priority = random() >> 1;
    std::memcpy(item.data(), &priority, sizeof priority);
    put(item);
  };
  for (std::uint64_t i = 0; i < kCapacity; ++i) put_one();
  const double begin = bench::now();
  for (std::uint64_t i = 0; i < kPairs; ++i) put_one(), get(item);
  return (bench::now() - begin) / kPairs * 1e9;
}

double our_pair_ns(Order order) {
  SharedQueue queue(std::make_shared<const QueueMemory>(QueueMemory::create({.order = order})), 0);
  Bytes got;
  return pair_ns([&](std::span<const std::byte> item) { queue.put(item); },
                 [&](std::span<std::byte>) { check(queue.get(got) == GetResult::item, "get"); });
}

// What a program would write for its own threads.
double standard_pair_ns(Order order) {
  using Item = std::array<std::byte, kItem>;
  const auto after = [](const Item& a, const Item& b) { return std::memcmp(a.data(), b.data(), sizeof(std::uint64_t)) > 0; };
  std::mutex mutex;
  std::vector<Item> stack;
  std::priority_queue<Item, std::vector<Item>, decltype(after)> heap(after);
  const bool lifo = order == Order::lifo;
  return pair_ns(
      [&](const Item& item) {
        const std::scoped_lock lock(mutex);
        lifo ? stack.push_back(item) : heap.push(item);
      },
      [&](Item& item) {
        const std::scoped_lock lock(mutex);
        item = lifo ? stack.back() : heap.top();
        lifo ? stack.pop_back() : heap.pop();
      });
}

std::uint64_t memory_of(const QueueMemory& memory) {
  struct stat status {};
  check(fstat(memory.descriptor().get(), &status) == 0, "fstat");
  return static_cast<std::uint64_t>(status.st_blocks) * 512;
}

// Memory that a queue takes for each of a million items, beyond the items themselves; or that it keeps when it is empty again.
double memory_after(bool drained) {
  constexpr std::uint64_t kItems = 1'000'000;
  const auto memory = std::make_shared<const QueueMemory>(QueueMemory::create({}));
  SharedQueue queue(memory, 0);
  produce(queue, How::batch, kItems);
  if (!drained) return static_cast<double>(memory_of(*memory)) / kItems - kItem;
  consume(queue, How::batch, kItems);
  return static_cast<double>(memory_of(*memory)) / (1 << 20);
}

}  // namespace

int main(int argc, char** argv) {
  bench::Suite suite("queue", argc, argv);
  for (const auto& where : {bench::Placement::both(), bench::Placement::one()}) {
    const bool both = where.self != where.peer;
    const auto ours = [=](std::uint32_t sides, How how) {
      const std::uint64_t items = how == How::batch ? 10'000'000 : 3'000'000;
      return [=] { return our_rate(where, items, sides, how); };
    };
    const auto boost = [=](std::uint32_t sides) { return [=] { return boost_rate(where, 1'500'000, sides); }; };
    const auto row = [&](const std::string& name, auto mine, auto theirs, const char* peer, std::optional<bench::Target> target) {
      suite.compare({.name = name + ", " + where.name, .unit = "items/s", .ours = mine, .theirs = theirs, .peer = peer, .target = target});
    };
    const char* message_queue = "Boost message_queue";
    row("1 to 1", ours(1, How::single), boost(1), message_queue, bench::at_least(both ? 2 : 0.9));
    row("1 to 1, batches of 32", ours(1, How::batch), boost(1), "Boost message_queue, one by one", bench::at_least(both ? 10 : 1.5));
    row("4 to 4", ours(4, How::single), boost(4), message_queue, {});
    row("4 to 4, against 1 to 1", ours(4, How::single), ours(1, How::single), "its own 1 to 1", bench::at_least(0.8));
    row("4 to 4, batches of 32", ours(4, How::batch), boost(4), "Boost message_queue, one by one", {});
    row("1 to 1, leased and acknowledged", ours(1, How::lease), ours(1, How::single), "its own plain get", bench::at_least(0.7));
    for (const Order order : {Order::lifo, Order::priority}) {
      const auto ordered = [=] { return our_rate(where, 1'500'000, 1, How::single, order); };
      row(order == Order::lifo ? "1 to 1, last in, first out" : "1 to 1, by priority", ordered, boost(1), message_queue, {});
    }
    row("4 to 4, leased and acknowledged", ours(4, How::lease), ours(4, How::single), "its own plain get", bench::at_least(0.7));
  }
  suite.compare({.name = "1 to 1, unpinned", .unit = "items/s",
                 .ours = [] { return our_rate(bench::Placement::unpinned(), 3'000'000, 1, How::single); },
                 .theirs = [] { return python_rate(30'000); }, .peer = "Python's Queue", .target = bench::at_least(50)});
  suite.measure({.name = "put, uncontended", .unit = "ns", .ours = [] { return uncontended_ns(true); }, .target = bench::at_most(10)});
  suite.measure({.name = "get, uncontended", .unit = "ns", .ours = [] { return uncontended_ns(false); }, .target = bench::at_most(10)});
  for (const Order order : {Order::lifo, Order::priority}) {
    suite.compare({.name = order == Order::lifo ? "put and get, last in, first out" : "put and get, by priority, among a thousand",
                   .unit = "ns",
                   .ours = [=] { return our_pair_ns(order); },
                   .theirs = [=] { return standard_pair_ns(order); },
                   .peer = order == Order::lifo ? "std::vector and std::mutex" : "std::priority_queue and std::mutex"});
  }
  suite.measure({.name = "a million items, beyond their size", .unit = "B an item", .ours = [] { return memory_after(false); }, .target = bench::at_most(24)});
  suite.measure({.name = "the same queue, drained", .unit = "MiB", .ours = [] { return memory_after(true); }, .target = bench::at_most(1)});
  return suite.finish();
}
