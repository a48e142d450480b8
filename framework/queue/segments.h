#pragma once

#include <cstdint>

#include <troupe/duration.h>

#include "queue/held.h"
#include "queue/queue_memory.h"

namespace troupe::queue {

// The memory of the log, segment by segment: producers take a physical segment for the next logical one, consumers give back
// those that all have read. The first few free ones stay hot, ready for use; the memory of the others goes back to the kernel.
//
// Each change is a plan of absolute values, written down, marked active and then carried out, which gives memory back, too: a user killed
// on the way leaves either nothing or a plan that recover() carries out again.
//
// Threads: any; extend() under the put lock, give_back() under the get lock.
class Segments {
 public:
  Segments(const QueueMemory& memory, Owner me) : memory_(memory), me_(me) {}

  // Gives the next logical segment memory; false if none is left or the deadline passed. Throws SystemError if the kernel has none.
  [[nodiscard]] bool extend(Clock::time_point deadline);

  // Takes the memory of all logical segments before `logical`, where no reader will look again. True if there was any. Does not throw
  // SystemError: what the kernel does not let go this time stays for the next.
  bool give_back(std::uint64_t logical, Clock::time_point deadline);
  // The same, and no free one stays hot. False if there are segments in use but the last, or the deadline passed.
  bool give_back_spare(std::uint64_t logical, Clock::time_point deadline);

  // Finishes what the last holder of the lock has begun.
  static void finish(const QueueMemory& memory);

 private:
  struct Counts {
    std::uint64_t ready, freed, hot, cold, grown;
  };
  [[nodiscard]] Counts counts() const;
  void give_back_each(std::uint64_t logical);
  void cool(Counts next, std::uint32_t segment);
  void carry_out(const Counts& counts, SegmentPlan::Target target, std::uint64_t index, std::uint64_t value);
  [[nodiscard]] std::uint32_t physical(const HalfWord& word) const;

  const QueueMemory& memory_;
  Owner me_;
};

}  // namespace troupe::queue
