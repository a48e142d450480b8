#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <vector>

#include <troupe/duration.h>
#include <troupe/value.h>

// What queues of all types have in common.
namespace troupe {

// There was no room for an item, or none in time.
class Full : public std::runtime_error {
 public:
  Full() : std::runtime_error("the queue is full") {}
};
// There was no item, or none in time.
class Empty : public std::runtime_error {
 public:
  Empty() : std::runtime_error("the queue is empty") {}
};
// The queue takes no more items; or it has none left, and will have none.
class QueueClosed : public std::runtime_error {
 public:
  QueueClosed() : std::runtime_error("the queue is closed") {}
};

// What to do with an item for which there is no room: wait for it, throw Full at once, or drop an item, which is counted.
enum class Overflow : std::uint32_t { block, fail, drop_newest, drop_oldest };

struct QueueOptions {
  std::size_t max_size = 0;   // items that wait; 0: as many as there is memory for
  std::size_t max_bytes = 0;  // the same for their encoded sizes
  Overflow overflow = Overflow::block;
  std::uint32_t max_deliveries = 0;  // of a leased item, then it is a dead letter; 0: no limit
};

struct QueueCounts {
  std::uint64_t put = 0;             // ever
  std::uint64_t done = 0;            // got, or acknowledged
  std::uint64_t redelivered = 0;     // leases that came back and were handed out again
  std::uint64_t quarantined = 0;     // became dead letters
  std::uint64_t dropped_newest = 0;  // by the policies
  std::uint64_t dropped_oldest = 0;
  std::uint32_t leased = 0;  // now
  std::uint32_t dead = 0;    // dead letters now
};

namespace detail {

class QueuePart;  // framework/handles/queue_part.h

enum class PutOutcome { done, full, closed, dropped };
enum class GetOutcome { item, empty, ended };

// What comes out first; by_priority: the item that begins with the lowest number.
enum class QueueOrder : std::uint32_t { first_in, last_in, by_priority };

struct QueueLease {
  std::uint32_t entry = 0;
  std::uint32_t deliveries = 0;
  std::uint64_t state = 0;
  std::uint64_t ticket = 0;  // root's number of the item, if it has handles
};
struct LeasedItem {
  std::vector<std::byte> bytes;
  QueueLease lease;
};

// The deadline of those who do not wait at all.
inline constexpr Clock::time_point kNotAtAll = Clock::time_point::min();
inline Clock::time_point deadline_of(Duration timeout) {
  return timeout <= Duration::zero() ? kNotAtAll : deadline_after(timeout);
}

// Items begin with what their order needs; then, where they may have handles, comes their ticket, which ends at `ticket_end`.
std::shared_ptr<QueuePart> make_queue(const QueueOptions& options, QueueOrder order, std::size_t ticket_end);
// Throws ProtocolError if it is a queue of another order.
std::shared_ptr<QueuePart> open_queue(std::uint64_t id, QueueOrder order);
std::uint64_t attach(const QueuePart& queue, Attachments& attachments);
// Handles in items belong to the queue, until the items are over. Returns their tickets; 0 for an item without handles.
std::vector<std::uint64_t> lay(QueuePart& queue, std::span<const std::vector<std::uint64_t>> handles);
void over(QueuePart& queue, std::span<const std::uint64_t> tickets) noexcept;

PutOutcome put(QueuePart& queue, std::span<const std::byte> item, Clock::time_point deadline);
// `put` is how many, also when it throws.
void put_many(QueuePart& queue, std::span<const std::vector<std::byte>> items, Clock::time_point deadline, std::size_t& put);
GetOutcome get(QueuePart& queue, std::vector<std::byte>& item, Clock::time_point deadline);
void get_many(QueuePart& queue, std::size_t most, Clock::time_point deadline,
              const std::function<void(std::span<const std::byte>)>& use);
GetOutcome lease(QueuePart& queue, LeasedItem& item, Clock::time_point deadline);
bool settle(QueuePart& queue, const QueueLease& lease, bool acknowledge);
std::optional<LeasedItem> take_dead_letter(QueuePart& queue);
GetOutcome take_task(QueuePart& queue, LeasedItem& item, Clock::time_point deadline);
void task_done(QueuePart& queue);
std::optional<QueueCounts> join(QueuePart& queue, Clock::time_point deadline);

std::size_t size_of(const QueuePart& queue);
bool is_full(const QueuePart& queue);
QueueCounts counts_of(const QueuePart& queue);
void close(QueuePart& queue);
bool is_closed(const QueuePart& queue);

// Of this thread: keeps its memory from one item to the next.
std::vector<std::byte>& item_buffer();

// False if there was no room. Throws QueueClosed.
inline bool was_put(PutOutcome outcome) {
  if (outcome == PutOutcome::closed) throw QueueClosed();
  return outcome != PutOutcome::full;
}
inline void require(PutOutcome outcome) {
  if (!was_put(outcome)) throw Full();
}
template <class Got>
auto require(Got got) {
  if (got.outcome == GetOutcome::ended) throw QueueClosed();
  if (got.outcome == GetOutcome::empty) throw Empty();
  return std::move(got.value);
}

}  // namespace detail
}  // namespace troupe
