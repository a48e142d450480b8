#include "queue/tickets.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <optional>
#include <span>

#include <troupe/errors.h>

#include "queue/blocks.h"
#include "queue/leases.h"

namespace troupe::queue {

namespace {

constexpr std::uint64_t kTicketEndMax = 64;

// Of an item whose first bytes lie at `bytes`, or else in a block.
Ticket ticket_of(const QueueMemory& memory, const std::byte* bytes, const LargeItem& item) {
  const std::uint32_t end = memory.constants.ticket_end;
  if (end < sizeof(Ticket) || item.size < end) return 0;
  Ticket ticket = 0;
  if (item.block == 0) {
    std::memcpy(&ticket, bytes + end - sizeof ticket, sizeof ticket);
    return ticket;
  }
  std::byte start[kTicketEndMax];
  const Blocks blocks(memory, kRootOwner);
  try {
    blocks.check(item.block, item.size);
  } catch (const ProtocolError&) {  // its consumer has just freed it
    return 0;
  }
  blocks.read(item.block, std::span(start, end));
  std::memcpy(&ticket, start + end - sizeof ticket, sizeof ticket);
  return ticket;
}

struct Record {
  std::uint64_t end = 0;
  Ticket ticket = 0;
};

// The one at that position of the log; nothing if there cannot be one.
std::optional<Record> read_record(const QueueMemory& memory, std::uint64_t position, std::uint64_t tail) {
  const std::uint64_t left = memory.geometry.segment_bytes - (position & (memory.geometry.segment_bytes - 1));
  const std::byte* place = memory.at(position);
  std::uint64_t word = 0;
  std::memcpy(&word, place, sizeof word);
  const std::uint64_t size = record_size(word);
  const std::uint64_t length = record_length(size);
  if (length > left || length > tail - position) return {};
  Record record{.end = position + length};
  LargeItem large{0, size};
  switch (record_kind(word)) {
    case RecordKind::item: break;
    case RecordKind::pad: return record;
    case RecordKind::large:
      if (size != sizeof large) return {};
      std::memcpy(&large, place + kRecordHeader, sizeof large);
      break;
    default: return {};
  }
  record.ticket = ticket_of(memory, place + kRecordHeader, large);
  return record;
}

// Consumers may take what we read: then it is not there any more, and we go on where they are.
void find_in_log(const QueueMemory& memory, std::set<Ticket>& sought) {
  const Word& head = memory.control().head.head;
  std::uint64_t position = head.load(std::memory_order_seq_cst);
  const std::uint64_t tail = memory.control().tail.tail.load(std::memory_order_seq_cst);
  if (!memory.is_log(position, tail)) QueueMemory::throw_corrupt("head and tail");
  while (position < tail && !sought.empty()) {
    const auto record = read_record(memory, position, tail);
    std::atomic_thread_fence(std::memory_order_acquire);
    const std::uint64_t now = head.load(std::memory_order_seq_cst);
    if (now > position) {
      position = now;
      continue;
    }
    if (!record) QueueMemory::throw_corrupt("a record of no known kind");
    sought.erase(record->ticket);
    position = record->end;
  }
}

void find_in_entries(const QueueMemory& memory, std::set<Ticket>& sought) {
  const std::uint32_t used = std::min(memory.control().leases.used.load(std::memory_order_seq_cst), memory.constants.leases_max);
  for (std::uint32_t i = used; i-- > 0 && !sought.empty();)
    if (memory.entry(i).state.load(std::memory_order_seq_cst) != 0) sought.erase(ticket_in(memory, i));
}

}  // namespace

Ticket ticket_in(const QueueMemory& memory, std::uint32_t entry) {
  const LeaseEntry& words = memory.entry(entry);
  const LargeItem item{words.block.load(std::memory_order_relaxed), words.size.load(std::memory_order_relaxed)};
  return ticket_of(memory, memory.lease_data(entry), item);
}

std::vector<Ticket> tickets_lost(const QueueMemory& memory, std::set<Ticket> sought) {
  if (!memory.is_ordered()) find_in_log(memory, sought);
  find_in_entries(memory, sought);
  return {sought.begin(), sought.end()};
}

}  // namespace troupe::queue
