#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <troupe/duration.h>

#include "queue/held.h"
#include "queue/queue_memory.h"
#include "queue/segments.h"

namespace troupe::queue {

// The writing end of the log. All under the put lock, except may_have_room().
//
//     auto batch = writer.begin();
//     while (writer.append(batch, bytes, deadline)) …
//     writer.commit(batch);
//
// commit() shows everything to the readers in one store of the tail. Before it, a killed writer leaves nothing that counts; after
// it, at most counters that finish() sets right from the stage words.
//
// Threads: whoever holds the put lock.
class LogWriter {
 public:
  struct Batch {
    std::uint64_t tail, count, bytes;
  };

  LogWriter(const QueueMemory& memory, Segments& segments) : memory_(memory), segments_(segments) {}

  [[nodiscard]] Batch begin() const {
    const Tail& tail = memory_.control().tail;
    return {tail.tail.load(std::memory_order_relaxed), tail.count.load(std::memory_order_relaxed), tail.bytes.load(std::memory_order_relaxed)};
  }

  // Adds an item to the batch; false if there is no room for it: too many items or bytes, or no memory for the log.
  [[nodiscard]] bool append(Batch& batch, std::span<const std::byte> bytes, Clock::time_point deadline);
  [[nodiscard]] bool append(Batch& batch, const LargeItem& item, Clock::time_point deadline);

  // `block` is that of the large item in the batch, if there is one: only one, and as its last.
  void commit(const Batch& batch, std::uint64_t block = 0);

  // As it seems without the lock: an item could be put, as far as numbers go.
  [[nodiscard]] static bool may_have_room(const QueueMemory& memory);

  // For root, which took the lock from a dead user: finishes the commit that it was killed in.
  static void finish(const QueueMemory& memory);

 private:
  [[nodiscard]] bool has_room(const Batch& batch, std::uint64_t size);
  [[nodiscard]] std::byte* place(std::uint64_t& start, std::uint64_t length, Clock::time_point deadline);
  [[nodiscard]] bool ensure_segment(std::uint64_t position, Clock::time_point deadline);

  const QueueMemory& memory_;
  Segments& segments_;
};

}  // namespace troupe::queue
