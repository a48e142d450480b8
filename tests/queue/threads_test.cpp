#include "support/catch.h"

#include <atomic>
#include <thread>
#include <vector>

#include "queue/recover.h"
#include "queue_support.h"

using namespace troupe;
using namespace troupe::queue;
using namespace queue_test;

// Threads in the place of processes, so that ThreadSanitizer sees both sides.
namespace {

constexpr std::uint64_t kItems = 4'000;  // of each producer
constexpr std::uint32_t kSides = 3;

std::size_t size_of(std::uint64_t number) { return number % 50 == 7 ? 700 : 8 + number % 100; }

enum class How { single, batch, lease };

// Consumers see each number once, and each producer's in order.
class Ledger {
 public:
  // By one consumer: its producer and its place there.
  void note(std::vector<std::uint64_t>& last, std::uint64_t number, bool ordered) {
    const std::uint64_t producer = number / kItems;
    if (ordered && last[producer] > number) ++wrong_;
    last[producer] = number;
    if (seen_[number].exchange(true)) ++wrong_;
    ++count_;
  }
  [[nodiscard]] bool complete() const { return count_ == kSides * kItems && wrong_ == 0; }

 private:
  std::vector<std::atomic<bool>> seen_ = std::vector<std::atomic<bool>>(kSides * kItems);
  std::atomic<std::uint64_t> count_{0}, wrong_{0};
};

void produce(SharedQueue& queue, std::uint64_t producer, How how) {
  const std::uint64_t end = (producer + 1) * kItems;
  for (std::uint64_t i = producer * kItems; i < end;) {
    if (how != How::batch) {
      queue.put(make_item(i, size_of(i)));
      ++i;
      continue;
    }
    std::vector<Bytes> items;
    for (std::uint64_t k = i; k < std::min(i + 9, end); ++k) items.push_back(make_item(k, size_of(k)));
    i += queue.put_many(std::vector<std::span<const std::byte>>(items.begin(), items.end()));
  }
}

void consume(SharedQueue& queue, Ledger& ledger, How how) {
  std::vector<std::uint64_t> last(kSides);
  Bytes item;
  Items items;
  Lease lease;
  if (how == How::batch) {
    while (queue.get_many(items, 7) == GetResult::item) {
      for (std::size_t i = 0; i < items.size(); ++i) ledger.note(last, read_item(items[i]), true);
    }
  } else if (how == How::lease) {
    for (std::uint64_t n = 1; queue.lease(item, lease) == GetResult::item; ++n) {
      if (n % 10 == 0 && lease.deliveries() == 1) {
        queue.give_back(lease);
      } else {
        ledger.note(last, read_item(item), false);
        queue.acknowledge(lease);
      }
    }
  } else {
    while (queue.get(item) == GetResult::item) ledger.note(last, read_item(item), true);
  }
}

}  // namespace

TEST_CASE("producers and consumers in threads pass every item once and in order") {
  for (const How how : {How::single, How::batch, How::lease}) {
    for (const bool shared_slots : {false, true}) {
      const auto memory = make_memory({.items_max = 20, .memory_max = 1 << 20, .segment_shift = 12, .segments_kept = 1, .block_shift = 12});
      std::vector<std::unique_ptr<SharedQueue>> queues;
      for (std::uint32_t slot = 0; slot < 2 * kSides; ++slot) queues.push_back(std::make_unique<SharedQueue>(memory, shared_slots ? 0 : slot));
      Ledger ledger;
      std::vector<std::thread> producers, consumers;
      for (std::uint32_t i = 0; i < kSides; ++i) {
        // Threads of one process may as well use one object.
        SharedQueue& putting = shared_slots ? *queues[0] : *queues[i];
        SharedQueue& getting = shared_slots ? *queues[0] : *queues[kSides + i];
        producers.emplace_back([&, i] { produce(putting, i, how); });
        consumers.emplace_back([&] { consume(getting, ledger, how); });
      }
      for (auto& producer : producers) producer.join();
      queues[0]->close();
      for (auto& consumer : consumers) consumer.join();
      CHECK(ledger.complete());
      CHECK(queues[0]->size() == 0);
      CHECK(Blocks::used(*memory) == 0);
    }
  }
}

TEST_CASE("root recovers from users while others are at work") {
  const auto memory = make_memory({.items_max = 20, .memory_max = 1 << 20, .segment_shift = 12, .block_shift = 12});
  SharedQueue queue(memory, 0);
  std::atomic<bool> end{false};
  std::thread root([&] {
    Bytes item;
    Lease lease;
    while (!end) {
      SharedQueue dying(memory, 7);  // who was recovered does nothing any more
      (void)dying.lease(item, lease, kNow);
      recover(*memory, 7);
    }
  });
  std::thread producer([&] {
    SharedQueue putting(memory, 1);
    for (std::uint64_t i = 0; i < kItems; ++i) putting.put(make_item(i, size_of(i)));
    putting.close();
  });
  std::vector<bool> seen(kItems);
  std::uint64_t count = 0;
  Bytes item;
  while (queue.get(item) == GetResult::item) {
    const std::uint64_t number = read_item(item);
    if (seen[number]) FAIL("twice: " << number);
    seen[number] = true;
    ++count;
  }
  end = true;
  root.join();
  producer.join();
  recover(*memory, 7);
  while (queue.get(item, kNow) == GetResult::item) ++count;
  CHECK(count == kItems);
}
