#include "support/catch.h"

#include <poll.h>
#include <sys/stat.h>

#include <atomic>
#include <csignal>
#include <list>
#include <map>
#include <random>

#include "os/epoll.h"
#include "os/pidfd.h"
#include "queue/recover.h"
#include "queue_support.h"
#include "support/child.h"
#include "support/leftovers.h"

using namespace troupe;
using namespace troupe::queue;
using namespace queue_test;

// Four producers and four consumers, one of which is killed every few milliseconds and replaced: each acknowledged put is processed,
// or is still there; nothing is seen without having been put.
namespace {

constexpr std::uint32_t kSides = 4;
constexpr std::uint64_t kNumbers = 1 << 26;

// Kept outside of the queue, in memory that survives everybody.
struct Ledger {
  std::atomic<std::uint64_t> next{0};             // number to put
  std::atomic<std::uint8_t> put[kNumbers];        // 1: about to be put, 2: put() returned
  std::atomic<std::uint8_t> processed[kNumbers];  // how often its lease was acknowledged
};

int produce(const std::shared_ptr<const QueueMemory>& memory, std::uint32_t slot, Ledger& ledger) {
  SharedQueue queue(memory, slot);
  for (;;) {
    const std::uint64_t number = ledger.next++;
    if (number >= kNumbers) return 0;
    ledger.put[number] = 1;
    if (queue.put(make_item(number, number % 20 == 3 ? 20'000 : 8 + number % 200)) == PutResult::closed) {
      ledger.put[number] = 0;
      return 0;
    }
    ledger.put[number] = 2;
  }
}

int consume(const std::shared_ptr<const QueueMemory>& memory, std::uint32_t slot, Ledger& ledger) {
  SharedQueue queue(memory, slot);
  Bytes item;
  Lease lease;
  while (queue.lease(item, lease) == GetResult::item) {
    const std::uint64_t number = read_item(item);
    ++ledger.processed[number];
    queue.acknowledge(lease);
  }
  return 0;
}

std::uint64_t memory_of(const QueueMemory& memory) {
  struct stat status {};
  REQUIRE(::fstat(memory.descriptor().get(), &status) == 0);
  return static_cast<std::uint64_t>(status.st_blocks) * 512;
}

void run_storm(Duration length, Duration between, Order order = Order::fifo) {
  test::Leftovers leftovers;
  const auto memory = make_memory({.items_max = 100, .order = order});
  const os::Mapping mapping(os::make_sparse_memory("ledger", sizeof(Ledger)), sizeof(Ledger));
  Ledger& ledger = *reinterpret_cast<Ledger*>(mapping.bytes().data());  // zeroed, and sparse: most of it is never touched
  const std::uint64_t memory_before = memory_of(*memory);
  std::vector<std::unique_ptr<test::Child>> users(2 * kSides);
  const auto start = [&](std::uint32_t slot) {
    users[slot] = std::make_unique<test::Child>([&, slot] { return slot < kSides ? produce(memory, slot, ledger) : consume(memory, slot, ledger); });
  };
  for (std::uint32_t slot = 0; slot < 2 * kSides; ++slot) start(slot);
  std::mt19937 random(1);
  std::uint64_t kills = 0;
  const auto end = Clock::now() + length;
  while (Clock::now() < end) {
    const auto slot = static_cast<std::uint32_t>(random() % (2 * kSides));
    // The storm's own pace: a time in which nothing else happens here.
    os::wait_for(memory->descriptor().get(), 0, Clock::now() + between);
    users[slot]->kill(SIGKILL);
    REQUIRE(users[slot]->wait() == -SIGKILL);
    recover(*memory, slot);
    start(slot);
    ++kills;
  }
  SharedQueue queue(memory, 2 * kSides);
  queue.close();
  for (auto& user : users) {
    const auto pidfd = os::open_pidfd(user->pid());
    REQUIRE(os::wait_for(pidfd.get(), POLLIN, Clock::now() + std::chrono::seconds(30)));
    CHECK(user->wait() == 0);
  }
  std::uint64_t acknowledged = 0, consumed = 0, lost = 0, invented = 0, again = 0;
  const std::uint64_t count = std::min<std::uint64_t>(ledger.next, kNumbers);
  for (std::uint64_t i = 0; i < count; ++i) {
    if (ledger.put[i] == 2) ++acknowledged;
    if (ledger.processed[i] > 0) ++consumed;
    if (ledger.put[i] == 2 && ledger.processed[i] == 0) ++lost;
    if (ledger.put[i] == 0 && ledger.processed[i] != 0) ++invented;
    if (ledger.processed[i] > 1) again += ledger.processed[i] - 1U;
  }
  const Counts counts = queue.counts();
  const std::uint64_t memory_after = memory_of(*memory);
  WARN(acknowledged << " puts acknowledged, " << consumed << " items consumed, " << lost << " lost, " << counts.redelivered
                    << " redelivered, of which " << again << " had been processed, " << counts.quarantined << " dead letters, " << kills
                    << " kills; memory " << memory_before / 1024 << " KiB at the start, " << memory_after / 1024 << " KiB at the end");
  CHECK(lost == 0);
  CHECK(invented == 0);
  CHECK(again <= kills);
  CHECK(count > 1'000);
  CHECK(queue.join(kNow));
  CHECK(counts.redelivered >= again);
  CHECK(counts.redelivered <= kills);  // one lease each
  CHECK(Blocks::used(*memory) == 0);
  CHECK(memory_after <= memory_before + (std::uint64_t{1} << QueueOptions{}.segment_shift));  // what one segment would be
}

}  // namespace

TEST_CASE("a storm of kills loses nothing") { run_storm(std::chrono::seconds(4), std::chrono::milliseconds(10)); }

TEST_CASE("nor does one on queues with another order") {
  for (const Order order : {Order::lifo, Order::priority}) run_storm(std::chrono::seconds(2), std::chrono::milliseconds(10), order);
}

TEST_CASE("a minute's storm of kills loses nothing", "[.][soak]") { run_storm(std::chrono::seconds(60), std::chrono::milliseconds(100)); }
