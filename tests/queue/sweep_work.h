#pragma once

#include "sweep_support.h"

// What scenarios are made of.
namespace queue_test {

using namespace troupe;
using namespace troupe::queue;

using Memory = std::shared_ptr<const QueueMemory>;
inline constexpr std::size_t kSmall = 64;         // 72 bytes of the log: 56 fill a segment
inline constexpr std::uint64_t kPerSegment = 56;
inline constexpr std::size_t kLarge = 700;        // in a block

inline std::size_t size_of(std::uint64_t number) { return number >= 1000 ? kLarge : kSmall; }
inline Bytes item(std::uint64_t number) { return make_item(number, size_of(number)); }

inline void put(const Memory& memory, std::uint64_t first, std::uint64_t last, std::uint32_t slot = 0) {
  SharedQueue queue(memory, slot);
  for (std::uint64_t i = first; i <= last; ++i) queue.put(item(i), kNow);
}

inline void get(const Memory& memory, std::uint64_t count, std::uint32_t slot = 0) {
  SharedQueue queue(memory, slot);
  Bytes bytes;
  for (; count > 0; --count) queue.get(bytes, kNow);
}

// Whoever dies with leases in its hands.
inline void lease(const Memory& memory, std::size_t count, std::uint32_t slot = kCorpse) {
  SharedQueue queue(memory, slot);
  Bytes bytes;
  Lease held;
  for (; count > 0; --count) queue.lease(bytes, held, kNow);
}

using Work = std::function<void(SharedQueue&, Progress&)>;

// What the victim does, on a queue that was opened before it comes under observation.
inline std::function<void(const Memory&, Progress&)> victim(Work work) {
  return [work](const Memory& memory, Progress& progress) {
    SharedQueue queue(memory, kVictim);
    work(queue, progress);
  };
}

inline Work puts(std::uint64_t first, std::uint64_t last) {
  return [=](SharedQueue& queue, Progress& progress) {
    for (std::uint64_t i = first; i <= last; ++i) {
      queue.put(item(i), kNow);
      ++progress.done;
    }
  };
}

inline Work gets(std::size_t count) {
  return [=](SharedQueue& queue, Progress& progress) {
    Bytes bytes;
    for (std::size_t i = 0; i < count; ++i) {
      queue.get(bytes, kNow);
      ++progress.done;
    }
  };
}

inline Work put_many(std::uint64_t first, std::uint64_t last) {
  return [=](SharedQueue& queue, Progress& progress) {
    std::vector<Bytes> items;
    for (std::uint64_t i = first; i <= last; ++i) items.push_back(item(i));
    queue.put_many(std::vector<std::span<const std::byte>>(items.begin(), items.end()), kNow);
    ++progress.done;
  };
}

inline Work get_many(std::size_t most) {
  return [=](SharedQueue& queue, Progress& progress) {
    Items items;
    queue.get_many(items, most, kNow);
    ++progress.done;
  };
}

inline Work leases(bool acknowledge) {
  return [=](SharedQueue& queue, Progress& progress) {
    Bytes bytes;
    Lease held;
    queue.lease(bytes, held, kNow);
    ++progress.done;
    acknowledge ? queue.acknowledge(held) : queue.give_back(held);
    ++progress.done;
  };
}

inline std::vector<Left> operator+(std::vector<Left> left, const std::vector<Left>& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}
inline std::vector<Left> one(std::uint64_t number, std::uint32_t delivery = 1) { return {{number, delivery}}; }

// Each operation leads to the next outcome.
inline std::vector<std::size_t> one_by_one(std::size_t operations) {
  std::vector<std::size_t> at_least;
  for (std::size_t i = 0; i <= operations; ++i) at_least.push_back(i);
  return at_least;
}

// One who died in the midst of `work`, after so many instructions.
inline void die(const Memory& memory, const Work& work, std::size_t steps) {
  test::Stepper corpse([&] {
    SharedQueue queue(memory, kCorpse);
    Progress progress;
    test::mark();
    work(queue, progress);
    test::mark();
  });
  while (steps-- > 0 && corpse.step() == test::Stepper::Stop::instruction) {
  }
  corpse.kill();
}

// One who died just when `reached` held for the first time.
inline void die_when(const Memory& memory, const Work& work, const std::function<bool()>& reached) {
  test::Stepper corpse([&] {
    SharedQueue queue(memory, kCorpse);
    Progress progress;
    test::mark();
    work(queue, progress);
    test::mark();
  });
  while (!reached() && corpse.step() == test::Stepper::Stop::instruction) {
  }
  corpse.kill();
}

}  // namespace queue_test
