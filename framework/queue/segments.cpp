#include "queue/segments.h"

#include <troupe/errors.h>

namespace troupe::queue {
namespace {

class HeldHeap {
 public:
  HeldHeap(SegmentHeap& heap, Owner me, Clock::time_point deadline) : heap_(heap), held_(heap.lock.lock_until(me - 1, deadline)) {}
  HeldHeap(const HeldHeap&) = delete;
  HeldHeap& operator=(const HeldHeap&) = delete;
  ~HeldHeap() {
    if (held_) heap_.lock.unlock();
  }
  explicit operator bool() const { return held_; }

 private:
  SegmentHeap& heap_;
  bool held_;
};

using Target = SegmentPlan::Target;
SegmentHeap& heap(const QueueMemory& memory) { return memory.control().segments; }

// What the kernel does not let go stays for the segment's next use.
void punch(const QueueMemory& memory, std::uint64_t segment) {
  const std::uint64_t bytes = memory.geometry.segment_bytes;
  try {
    os::punch(memory.descriptor(), memory.geometry.segments + segment * bytes, bytes);
  } catch (const SystemError&) {
  }
}

void apply(const QueueMemory& memory) {
  SegmentHeap& shared = heap(memory);
  const SegmentPlan& plan = shared.plan;
  const auto value = static_cast<std::uint32_t>(plan.value.load(std::memory_order_relaxed));
  const std::uint64_t index = plan.index.load(std::memory_order_relaxed);
  switch (static_cast<Target>(plan.target.load(std::memory_order_relaxed))) {
    case Target::none: break;
    case Target::table: memory.table(index).store(value, std::memory_order_relaxed); break;
    case Target::hot:
      if (index < memory.constants.segments_kept) memory.hot(index).store(value, std::memory_order_relaxed);
      break;
    case Target::cold:
      if (index >= memory.constants.segments_max || value >= memory.constants.segments_max) break;
      memory.cold(index).store(value, std::memory_order_relaxed);
      punch(memory, value);
      break;
  }
  shared.ready.store(plan.ready.load(std::memory_order_relaxed), std::memory_order_relaxed);
  shared.freed.store(plan.freed.load(std::memory_order_relaxed), std::memory_order_relaxed);
  shared.hot.store(plan.hot.load(std::memory_order_relaxed), std::memory_order_relaxed);
  shared.cold.store(plan.cold.load(std::memory_order_relaxed), std::memory_order_relaxed);
  shared.grown.store(plan.grown.load(std::memory_order_relaxed), std::memory_order_relaxed);
  shared.plan.active.store(0, std::memory_order_release);
}

}  // namespace

void Segments::finish(const QueueMemory& memory) {
  if (heap(memory).plan.active.load(std::memory_order_acquire) == 1) apply(memory);
}

Segments::Counts Segments::counts() const {
  const SegmentHeap& shared = heap(memory_);
  const Counts now{shared.ready.load(std::memory_order_relaxed), shared.freed.load(std::memory_order_relaxed),
                   shared.hot.load(std::memory_order_relaxed), shared.cold.load(std::memory_order_relaxed),
                   shared.grown.load(std::memory_order_relaxed)};
  const std::uint64_t most = memory_.constants.segments_max;
  if (now.ready - now.freed > most || now.hot > memory_.constants.segments_kept || now.cold > most || now.grown > most) {
    QueueMemory::throw_corrupt("counts of segments");
  }
  return now;
}

std::uint32_t Segments::physical(const HalfWord& word) const {
  const std::uint32_t segment = word.load(std::memory_order_relaxed);
  if (segment >= memory_.constants.segments_max) QueueMemory::throw_corrupt("a segment that does not exist");
  return segment;
}

void Segments::carry_out(const Counts& counts, Target target, std::uint64_t index, std::uint64_t value) {
  SegmentPlan& plan = heap(memory_).plan;
  plan.target.store(static_cast<std::uint64_t>(target), std::memory_order_relaxed);
  plan.index.store(index, std::memory_order_relaxed);
  plan.value.store(value, std::memory_order_relaxed);
  plan.ready.store(counts.ready, std::memory_order_relaxed);
  plan.freed.store(counts.freed, std::memory_order_relaxed);
  plan.hot.store(counts.hot, std::memory_order_relaxed);
  plan.cold.store(counts.cold, std::memory_order_relaxed);
  plan.grown.store(counts.grown, std::memory_order_relaxed);
  plan.active.store(1, std::memory_order_release);
  std::atomic_signal_fence(std::memory_order_seq_cst);  // the compiler may not begin before the plan stands
  apply(memory_);
}

bool Segments::extend(Clock::time_point deadline) {
  const HeldHeap held(heap(memory_), me_, deadline);
  if (!held) return false;
  Counts next = counts();
  std::uint32_t segment;
  if (next.hot > 0) {
    segment = physical(memory_.hot(--next.hot));
  } else {
    if (next.cold > 0) {
      segment = physical(memory_.cold(--next.cold));
    } else if (next.grown < memory_.constants.segments_max) {
      segment = static_cast<std::uint32_t>(next.grown++);
    } else {
      return false;
    }
    const std::uint64_t bytes = memory_.geometry.segment_bytes;
    os::allocate(memory_.descriptor(), memory_.geometry.segments + segment * bytes, bytes);
  }
  const std::uint64_t row = next.ready & (memory_.constants.segments_max - 1);
  memory_.allocate_word(memory_.geometry.table + row * sizeof(HalfWord), sizeof(HalfWord), row == 0);
  carry_out({next.ready + 1, next.freed, next.hot, next.cold, next.grown}, Target::table, next.ready, segment);
  memory_.control().leases.spare.store(1, std::memory_order_relaxed);
  return true;
}

bool Segments::give_back(std::uint64_t logical, Clock::time_point deadline) {
  const HeldHeap held(heap(memory_), me_, deadline);
  if (!held) return false;
  const std::uint64_t first = counts().freed;
  try {
    give_back_each(logical);
  } catch (const SystemError&) {
  }
  return counts().freed != first;
}

bool Segments::give_back_spare(std::uint64_t logical, Clock::time_point deadline) {
  const HeldHeap held(heap(memory_), me_, deadline);
  if (!held) return false;
  give_back_each(logical);
  for (Counts next = counts(); next.hot > 0; next = counts()) {
    const std::uint32_t segment = physical(memory_.hot(--next.hot));
    cool(next, segment);
  }
  return counts().ready - counts().freed <= 1;
}

void Segments::give_back_each(std::uint64_t logical) {
  for (Counts next = counts(); next.freed < logical && next.freed < next.ready; next = counts()) {
    const std::uint32_t segment = physical(memory_.table(next.freed++));
    if (next.hot < memory_.constants.segments_kept) {
      const std::uint64_t place = next.hot++;
      carry_out(next, Target::hot, place, segment);
    } else {
      cool(next, segment);
    }
  }
}

// One more cold segment, `next` otherwise.
void Segments::cool(Counts next, std::uint32_t segment) {
  memory_.allocate_word(memory_.geometry.cold + next.cold * sizeof(HalfWord), sizeof(HalfWord), next.cold == 0);
  const std::uint64_t place = next.cold++;
  carry_out(next, Target::cold, place, segment);
}

}  // namespace troupe::queue
