#include <cstring>
#include <exception>
#include <stdexcept>

#include <troupe/errors.h>
#include <troupe/queue.h>

#include "handles/queue_part.h"

namespace troupe::detail {

namespace {

queue::Lease lease_of(const QueueLease& lease) { return {lease.entry, lease.state}; }

void set_lease(QueuePart& queue, LeasedItem& item, const queue::Lease& lease) {
  item.lease = {lease.entry, lease.deliveries(), lease.state, 0};
  auto& ticket = item.lease.ticket;
  const std::size_t end = queue.queue.ticket_end();
  if (end != 0 && item.bytes.size() >= end) std::memcpy(&ticket, item.bytes.data() + end - sizeof ticket, sizeof ticket);
}

// The same values in the same order.
static_assert(static_cast<int>(PutOutcome::dropped) == static_cast<int>(queue::PutResult::dropped));
static_assert(static_cast<int>(GetOutcome::ended) == static_cast<int>(queue::GetResult::ended));
static_assert(static_cast<int>(Overflow::drop_oldest) == static_cast<int>(queue::Overflow::drop_oldest));
static_assert(static_cast<int>(QueueOrder::by_priority) == static_cast<int>(queue::Order::priority));

// What moves together in one call.
constexpr std::size_t kBatchMax = 1024;

}  // namespace

std::shared_ptr<QueuePart> make_queue(const QueueOptions& options, QueueOrder order, std::size_t ticket_end) {
  auto memory = queue::QueueMemory::create({.items_max = options.max_size,
                                            .bytes_max = options.max_bytes,
                                            .overflow = static_cast<queue::Overflow>(options.overflow),
                                            .order = static_cast<queue::Order>(order),
                                            .users_max = process::kThingUsersMax,
                                            .deliveries_max = options.max_deliveries,
                                            .ticket_end = static_cast<std::uint32_t>(ticket_end)});
  return program::SharedThing::create<QueuePart>(process::ThingKind::queue, std::move(memory));
}

std::shared_ptr<QueuePart> open_queue(std::uint64_t id, QueueOrder order) {
  auto part = program::SharedThing::open<QueuePart>(id);
  if (part->queue.order() != static_cast<queue::Order>(order)) throw ProtocolError("a handle of a queue with another order");
  return part;
}

std::uint64_t attach(const QueuePart& queue, Attachments& attachments) {
  queue.check_here();
  attachments.handles.push_back(queue.id());
  return queue.id();
}

std::vector<std::uint64_t> lay(QueuePart& queue, std::span<const std::vector<std::uint64_t>> handles) {
  auto* client = process::Client::here();
  return client ? client->lay_things(queue.id(), handles) : std::vector<std::uint64_t>(handles.size());
}

void over(QueuePart& queue, std::span<const std::uint64_t> tickets) noexcept {
  try {
    if (auto* client = process::Client::here()) client->items_over(queue.id(), tickets);
  } catch (const std::exception&) {  // root is gone, or this is a fork of the user's: there is nobody to tell
  }
}

PutOutcome put(QueuePart& queue, std::span<const std::byte> item, Clock::time_point deadline) {
  queue.check_here();
  return static_cast<PutOutcome>(queue.queue.put(item, deadline));
}

void put_many(QueuePart& queue, std::span<const std::vector<std::byte>> items, Clock::time_point deadline, std::size_t& put) {
  queue.check_here();
  const std::vector<std::span<const std::byte>> spans(items.begin(), items.end());
  put = queue.queue.put_many(spans, deadline);
  if (put < items.size() && queue.queue.closed()) throw QueueClosed();
}

GetOutcome get(QueuePart& queue, std::vector<std::byte>& item, Clock::time_point deadline) {
  queue.check_here();
  return static_cast<GetOutcome>(queue.queue.get(item, deadline));
}

void get_many(QueuePart& queue, std::size_t most, Clock::time_point deadline,
              const std::function<void(std::span<const std::byte>)>& use) {
  queue.check_here();
  if (most == 0) return;
  queue::Items items;
  queue.queue.get_many(items, std::min(most, kBatchMax), deadline);
  for (std::size_t i = 0; i < items.size(); ++i) use(items[i]);
}

GetOutcome lease(QueuePart& queue, LeasedItem& item, Clock::time_point deadline) {
  queue.check_here();
  queue::Lease lease;
  const auto result = queue.queue.lease(item.bytes, lease, deadline);
  if (result == queue::GetResult::item) set_lease(queue, item, lease);
  return static_cast<GetOutcome>(result);
}

// A lease is its process's own: what a fork of that unwinds is not over. Root hears of it first: whoever is killed in between leaves a
// lease of an item that root knows to be over.
bool settle(QueuePart& queue, const QueueLease& lease, bool acknowledge) {
  if (!queue.is_here()) return false;
  if (acknowledge && lease.ticket != 0) over(queue, std::span(&lease.ticket, 1));
  return acknowledge ? queue.queue.acknowledge(lease_of(lease)) : queue.queue.give_back(lease_of(lease));
}

std::optional<LeasedItem> take_dead_letter(QueuePart& queue) {
  queue.check_here();
  LeasedItem item;
  queue::Lease lease;
  if (!queue.queue.take_dead_letter(item.bytes, lease)) return {};
  set_lease(queue, item, lease);
  return item;
}

GetOutcome take_task(QueuePart& queue, LeasedItem& item, Clock::time_point deadline) {
  const GetOutcome outcome = lease(queue, item, deadline);
  if (outcome == GetOutcome::item) queue.note_task(item.lease);
  return outcome;
}

void task_done(QueuePart& queue) {
  queue.check_here();
  const auto task = queue.oldest_task();
  if (!task) throw std::logic_error("task_done() called more often than get()");
  settle(queue, *task, true);
}

std::optional<QueueCounts> join(QueuePart& queue, Clock::time_point deadline) {
  queue.check_here();
  if (!queue.queue.join(deadline)) return {};
  return counts_of(queue);
}

std::size_t size_of(const QueuePart& queue) { return queue.check_here(), queue.queue.size(); }
bool is_full(const QueuePart& queue) { return queue.check_here(), queue.queue.full(); }
void close(QueuePart& queue) { queue.check_here(), queue.queue.close(); }
bool is_closed(const QueuePart& queue) { return queue.check_here(), queue.queue.closed(); }

QueueCounts counts_of(const QueuePart& queue) {
  queue.check_here();
  const queue::Counts counts = queue.queue.counts();
  const std::uint64_t not_done = std::uint64_t{counts.leased} + counts.returned + counts.quarantined + counts.dropped_oldest;
  return {.put = counts.put,
          .done = counts.taken > not_done ? counts.taken - not_done : 0,
          .redelivered = counts.redelivered,
          .quarantined = counts.quarantined,
          .dropped_newest = counts.dropped_newest,
          .dropped_oldest = counts.dropped_oldest,
          .leased = counts.leased,
          .dead = counts.dead};
}

std::vector<std::byte>& item_buffer() {
  thread_local std::vector<std::byte> buffer;
  return buffer;
}

}  // namespace troupe::detail
