#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "os/memory.h"
#include "queue/recover.h"
#include "queue/shared_queue.h"
#include "queue_support.h"
#include "support/stepper.h"

// Scenarios in which a user of a queue is killed at every point, and what must hold of the queue after each.
namespace queue_test {

// An item that is left, and its delivery when it is leased the next time.
struct Left {
  std::uint64_t number = 0;
  std::uint32_t delivery = 1;
  bool operator==(const Left&) const = default;
};

// A queue may be found in one of several states, from the one before the operation to the one after it: never any other, and never
// an earlier one after a later one.
struct Outcome {
  std::vector<Left> items;
  std::vector<std::uint64_t> dead_letters = {};
  bool closed = false;
  bool operator==(const Outcome&) const = default;
};

inline constexpr std::uint32_t kVictim = 1;    // its slot; 0 prepares
inline constexpr std::uint32_t kCorpse = 2;    // that of one who died before
inline constexpr std::uint32_t kSurvivor = 3;  // who looks what is left

// What is shared with the victim besides the queue: how many of its operations have returned.
struct Progress {
  std::atomic<std::uint64_t> done{0};
};

struct Scenario {
  std::string name;
  troupe::queue::QueueOptions options;
  std::function<void(const std::shared_ptr<const QueueMemory>&)> prepare;
  std::function<void(const std::shared_ptr<const QueueMemory>&, Progress&)> victim;
  std::vector<Outcome> outcomes;
  // The earliest outcome that is allowed once so many operations have returned.
  std::vector<std::size_t> at_least = {0};
};

std::vector<Scenario> scenarios();
// Of queues with another order than first in, first out.
std::vector<Scenario> ordered_scenarios();

// Small enough to be copied at every instruction.
troupe::queue::QueueOptions tiny_options(troupe::queue::QueueOptions options = {});

// Numbers from `first` to `last`, each left for its first delivery.
std::vector<Left> range(std::uint64_t first, std::uint64_t last);

// Takes everything out of a queue, which nobody uses any more: what was in it. Throws if something is wrong with it: torn items, wrong
// counts, anything that was not given back (leases, blocks, segments, locks), or if it does not work as a new one does.
Outcome drain_and_check(const std::shared_ptr<const QueueMemory>& memory);

// Steps through the victim and looks at a copy of the memory at every change.
troupe::test::Sweep sweep_states(const Scenario& scenario, const troupe::queue::RecoverSteps& steps = {});

}  // namespace queue_test
