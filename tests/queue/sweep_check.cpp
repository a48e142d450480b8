#include <sys/mman.h>

#include <algorithm>
#include <set>
#include <stdexcept>

#include "sweep_support.h"

using namespace troupe;
using namespace troupe::queue;

namespace queue_test {
namespace {

void require(bool holds, const std::string& what) {
  if (!holds) throw std::runtime_error(what);
}

// Each physical segment that was ever used is in the log, or hot, or cold: once.
void check_segments(const QueueMemory& memory) {
  const SegmentHeap& heap = memory.control().segments;
  std::multiset<std::uint32_t> found;
  for (std::uint64_t i = heap.freed; i < heap.ready; ++i) found.insert(memory.table(i));
  for (std::uint64_t i = 0; i < heap.hot; ++i) found.insert(memory.hot(i));
  for (std::uint64_t i = 0; i < heap.cold; ++i) found.insert(memory.cold(i));
  require(found.size() == heap.grown, "segments lost or doubled: " + std::to_string(found.size()) + " of " + std::to_string(heap.grown));
  for (std::uint32_t i = 0; i < heap.grown; ++i) require(found.count(i) == 1, "segment " + std::to_string(i) + " is lost or doubled");
}

// Of a queue with another order, which is empty: each entry is free, and listed once.
void check_entries(const QueueMemory& memory) {
  const OrderHeap& order = memory.control().order;
  const std::uint32_t used = memory.control().leases.used;
  require(order.waiting == 0 && order.live == 0 && order.bytes == 0, "counts of an empty order");
  require(order.listed == used, "entries lost: " + std::to_string(order.listed) + " of " + std::to_string(used));
  std::set<std::uint32_t> listed;
  for (std::uint32_t i = 0; i < used; ++i) listed.insert(memory.ordered(i));
  require(listed.size() == used && (used == 0 || *listed.rbegin() == used - 1), "entries doubled");
  for (std::uint32_t i = 0; i < memory.constants.leases_max; ++i) require(memory.entry(i).state == 0, "an entry in use");
}

void check_locks(const QueueMemory& memory) {
  ControlArea& control = memory.control();
  const bool held = control.put.lock.holder() || control.get.lock.holder() || control.segments.lock.holder();
  require(!held, "a lock is held");
}

void check_nothing_held(const QueueMemory& memory) {
  check_locks(memory);
  for (const auto state : {Leases::State::held, Leases::State::fetched, Leases::State::returned, Leases::State::over, Leases::State::dead,
                           Leases::State::taken}) {
    require(Leases::count(memory, state) == 0, "a lease in state " + std::to_string(static_cast<int>(state)));
  }
  require(Blocks::used(memory) == 0, "blocks in use: " + std::to_string(Blocks::used(memory)));
}

// As many as fit go in, and come out in order; three segments' worth passes through every list.
void check_refill(SharedQueue& queue, const Constants& constants) {
  const std::uint64_t wanted = constants.items_max == 0 ? 100 : constants.items_max;
  const auto put = [&](std::uint64_t i) { return queue.put(make_item(i, i % 40 == 3 ? 700 : 100), kNow) == PutResult::done; };
  Bytes item;
  for (std::uint64_t i = 0; i < wanted; ++i) require(put(i), "refilled only " + std::to_string(i));
  require(queue.size() == wanted, "size of the refilled queue");
  for (std::uint64_t i = 0; i < wanted; ++i) {
    const std::uint64_t expected = constants.order == Order::lifo ? wanted - 1 - i : i;
    require(queue.get(item, kNow) == GetResult::item && read_item(item) == expected, "order of the refilled queue");
  }
}

}  // namespace

Outcome drain_and_check(const std::shared_ptr<const QueueMemory>& memory) {
  check_locks(*memory);  // else we would wait for ever
  SharedQueue queue(memory, kSurvivor);
  Outcome outcome{.items = {}, .dead_letters = {}, .closed = queue.closed()};
  const std::uint64_t size = queue.size();
  Bytes item;
  Lease lease;
  while (queue.lease(item, lease, kNow) == GetResult::item) {
    outcome.items.push_back({read_item(item), lease.deliveries()});
    require(queue.acknowledge(lease), "acknowledge");
    require(outcome.items.size() <= 10'000, "no end of items");
  }
  while (queue.take_dead_letter(item, lease)) {
    outcome.dead_letters.push_back(read_item(item));
    require(queue.acknowledge(lease), "acknowledge a dead letter");
  }
  require(size == outcome.items.size(), "size said " + std::to_string(size) + ", there were " + std::to_string(outcome.items.size()));
  require(queue.empty() && queue.join(kNow), "not empty in the end");
  const Counts counts = queue.counts();
  require(counts.put == counts.taken && counts.put >= outcome.items.size() + outcome.dead_letters.size(), "counts");
  if (!outcome.closed && memory->constants.overflow != Overflow::drop_oldest) check_refill(queue, memory->constants);
  queue.close();
  require(queue.put(make_item(1), kNow) == PutResult::closed && queue.get(item, kNow) == GetResult::ended, "close");
  check_nothing_held(*memory);
  check_segments(*memory);
  if (memory->is_ordered()) check_entries(*memory);
  return outcome;
}

namespace {

std::string text_of(const Outcome& outcome) {
  std::string text = outcome.closed ? "closed," : "";
  for (const Left& left : outcome.items) text += " " + std::to_string(left.number) + "/" + std::to_string(left.delivery);
  for (const std::uint64_t dead : outcome.dead_letters) text += " dead:" + std::to_string(dead);
  return text;
}

// All of a queue's memory, blocks included, mapped.
std::span<std::byte> all_of(const os::Mapping& mapping) { return mapping.bytes(); }

class Checker {
 public:
  Checker(const Scenario& scenario, const QueueMemory& original, const RecoverSteps& steps, const Progress& progress)
      : scenario_(scenario),
        steps_(steps),
        progress_(progress),
        memory_(std::make_shared<const QueueMemory>(QueueMemory::create(scenario.options))),
        all_(memory_->descriptor(), original.geometry.size) {}

  std::string operator()(std::span<const std::byte> copy) {
    std::ranges::copy(copy, all_of(all_).begin());
    try {
      recover(*memory_, kVictim, steps_);
      recover(*memory_, kCorpse, steps_);
      const Outcome outcome = drain_and_check(memory_);
      const auto first = scenario_.outcomes.begin() + static_cast<std::ptrdiff_t>(latest_);
      const auto found = std::find(first, scenario_.outcomes.end(), outcome);
      require(found != scenario_.outcomes.end(), "left:" + text_of(outcome));
      latest_ = static_cast<std::size_t>(found - scenario_.outcomes.begin());
      const std::uint64_t done = std::min<std::uint64_t>(progress_.done, scenario_.at_least.size() - 1);
      require(latest_ >= scenario_.at_least[done], "after " + std::to_string(done) + " operations there was left:" + text_of(outcome));
    } catch (const std::exception& error) {
      return error.what();
    }
    return {};
  }

  // Where operations lead from the first outcome to the last, it came to that.
  [[nodiscard]] bool finished() const { return scenario_.at_least.size() == 1 || latest_ + 1 == scenario_.outcomes.size(); }

 private:
  const Scenario& scenario_;
  RecoverSteps steps_;
  const Progress& progress_;
  std::shared_ptr<const QueueMemory> memory_;
  os::Mapping all_;
  std::size_t latest_ = 0;
};

// Resolves the symbols that the victim will need, lest the sweep steps through the dynamic linker; the victim inherits them.
void rehearse(const Scenario& scenario) {
  const auto memory = make_memory(scenario.options);
  Progress progress;
  scenario.prepare(memory);
  scenario.victim(memory, progress);
}

}  // namespace

test::Sweep sweep_states(const Scenario& scenario, const RecoverSteps& steps) {
  rehearse(scenario);
  const auto memory = make_memory(scenario.options);
  scenario.prepare(memory);
  const os::Mapping all(memory->descriptor(), memory->geometry.size);
  const os::Mapping shared(os::make_shared_memory("progress", 4096), 4096);
  auto* progress = new (shared.bytes().data()) Progress;
  Checker check(scenario, *memory, steps, *progress);
  const auto victim = [&] {
    test::mark();
    scenario.victim(memory, *progress);
    test::mark();
  };
  auto sweep = test::look_at_every_change(all.bytes(), victim, [&](std::span<std::byte> copy) { return check(copy); });
  if (sweep.failures == 0 && !check.finished()) sweep.count("the last outcome was never seen");
  return sweep;
}

}  // namespace queue_test
