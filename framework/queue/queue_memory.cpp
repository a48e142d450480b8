#include "queue/queue_memory.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <new>
#include <string>
#include <utility>

#include <troupe/errors.h>

namespace troupe::queue {
namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kMemoryMax = std::uint64_t{1} << 40;
constexpr std::uint32_t kUsersMax = 4096;
constexpr std::uint32_t kLeasesMax = 1 << 20;
constexpr std::uint32_t kOrderedMax = 1 << 24;
constexpr std::uint64_t kOrderedSmallMax = 128;  // an entry with its data and their share of the order is 260 bytes
constexpr std::uint32_t kEntriesKept = 64;       // for each segment that would keep its memory
constexpr std::uint64_t kBlocksMax = std::uint64_t{1} << 27;  // of a class: what a BlockId can count
constexpr std::uint64_t kItemMax = std::uint64_t{1} << 30;

std::uint64_t up_to(std::uint64_t value, std::uint64_t multiple) { return (value + multiple - 1) / multiple * multiple; }

bool within(std::uint64_t value, std::uint64_t least, std::uint64_t most) { return value >= least && value <= most; }

bool are_constants(const Constants& c) {
  return within(c.segment_shift, 12, 20) && std::has_single_bit(c.segments_max) && within(c.segments_max, 4, 1 << 24) &&
         within(c.segments_kept, 1, c.segments_max) && within(c.users_max, 1, kUsersMax) && within(c.leases_max, 1, c.order == Order::fifo ? kLeasesMax : kOrderedMax) &&
         within(c.block_shift, 12, 20) && within(c.block_classes, 1, kBlockClassesMax) &&
         within(c.block_shift + c.block_classes - 1, 12, 40) && c.blocks_bytes >> c.block_shift <= kBlocksMax &&
         within(c.blocks_bytes, std::uint64_t{1} << (c.block_shift + c.block_classes - 1), kMemoryMax) &&
         c.blocks_bytes % (std::uint64_t{1} << (c.block_shift + c.block_classes - 1)) == 0 &&
         (std::uint64_t{c.segments_max} << c.segment_shift) <= kMemoryMax && c.overflow <= Overflow::drop_oldest &&
         c.order <= Order::priority && !(c.order == Order::priority && c.overflow == Overflow::drop_oldest) &&
         within(c.dead_max, 1, c.leases_max) && c.idle >= 0 && c.ticket_end % 8 == 0 && c.ticket_end <= 64;
}

// Smallest log that holds `items_max` of the largest small items, each with the padding it may cost.
std::uint64_t log_bytes_for(const QueueOptions& options) {
  const std::uint64_t memory = options.memory_max;
  if (options.items_max == 0) return memory;
  const std::uint64_t per_item = (std::uint64_t{1} << options.segment_shift) / 7;
  const std::uint64_t least = std::uint64_t{4} << options.segment_shift;
  return options.items_max > memory / per_item ? memory : std::max(options.items_max * per_item + least, least);
}

Constants constants_for(const QueueOptions& options) {
  const std::uint64_t memory = options.memory_max;
  Constants c{};
  c.magic = kQueueMagic;
  c.version = kQueueVersion;
  c.overflow = options.overflow;
  c.items_max = options.items_max;
  c.bytes_max = options.bytes_max;
  c.users_max = options.users_max;
  c.deliveries_max = options.deliveries_max;
  c.order = options.order;
  c.ticket_end = options.ticket_end;
  c.idle = options.idle.count();
  c.leases_max = options.leases_max;
  c.dead_max = std::max(options.leases_max / 2, 1U);
  c.segment_shift = options.segment_shift;
  c.block_shift = options.block_shift;
  c.blocks_kept = options.blocks_kept;
  if (memory > kMemoryMax || memory < std::uint64_t{1} << options.block_shift || options.segment_shift > 20) return c;  // refused
  const std::uint64_t segments = log_bytes_for(options) >> options.segment_shift;
  c.segments_max = static_cast<std::uint32_t>(std::bit_ceil(std::max(segments, std::uint64_t{4})));
  c.segments_kept = std::min(std::max(options.segments_kept, 1U), c.segments_max);
  const std::uint64_t block_max = std::bit_floor(std::min(memory, kItemMax));
  c.block_classes = static_cast<std::uint32_t>(std::countr_zero(block_max)) - c.block_shift + 1;
  c.blocks_bytes = memory / block_max * block_max;
  if (options.order == Order::fifo) return c;
  c.segment_shift = 12;  // a log that stays empty
  c.segments_max = std::bit_ceil(std::max(options.segments_kept, 4U));
  c.leases_max = static_cast<std::uint32_t>(std::min<std::uint64_t>(memory / 256, kOrderedMax));
  c.dead_max = std::min(c.dead_max, c.leases_max / 2);
  return c;
}

}  // namespace

Geometry::Geometry(const Constants& c) {
  if (c.magic != kQueueMagic || c.version != kQueueVersion) throw ProtocolError("not a queue of this version");
  if (!are_constants(c)) throw ProtocolError("not a queue: its constants do not fit each other");
  segment_bytes = std::uint64_t{1} << c.segment_shift;
  log_bytes = segment_bytes * c.segments_max;
  const bool ordered = c.order != Order::fifo;
  small_max = ordered ? kOrderedSmallMax : segment_bytes / 8 - kRecordHeader;
  item_max = std::uint64_t{1} << (c.block_shift + c.block_classes - 1);
  entries_kept = std::min(c.segments_kept * kEntriesKept, c.leases_max);
  lease_stride = up_to(small_max, 64) + 64;  // not a power of two, lest the first bytes of all compete for the same cache lines
  table = up_to(sizeof(ControlArea), 64);
  hot = table + up_to(c.segments_max * sizeof(HalfWord), 64);
  cold = hot + up_to(c.segments_kept * sizeof(HalfWord), 64);
  entries = cold + up_to(c.segments_max * sizeof(HalfWord), 64);
  lease_data = up_to(entries + c.leases_max * sizeof(LeaseEntry), kPage);
  order = lease_data + c.leases_max * lease_stride;
  block_states = order + (ordered ? up_to(c.leases_max * sizeof(HalfWord), 64) : 0);
  const std::uint64_t smallest_blocks = c.blocks_bytes >> c.block_shift;
  segments = up_to(block_states + 2 * smallest_blocks * sizeof(Word), std::max(kPage, segment_bytes));
  blocks = segments + log_bytes;
  mapped = blocks;
  size = blocks + c.block_classes * c.blocks_bytes;
}

os::Descriptor QueueMemory::create(const QueueOptions& options) {
  if (options.order == Order::priority && options.overflow == Overflow::drop_oldest) {
    throw ConfigError("a priority queue does not drop its oldest item: choose another overflow policy");
  }
  const Constants constants = constants_for(options);
  if (!are_constants(constants)) throw ConfigError("a queue cannot have these bounds: see QueueOptions");
  const Geometry geometry(constants);
  os::Descriptor memory = os::make_sparse_memory("troupe:queue", geometry.size);
  os::allocate(memory, 0, up_to(sizeof(ControlArea), kPage));
  os::allocate(memory, geometry.hot, constants.segments_kept * sizeof(HalfWord));
  os::Mapping mapping(memory, up_to(sizeof(ControlArea), kPage));
  auto* control = new (mapping.bytes().data()) ControlArea{};
  std::memcpy(&control->constants, &constants, sizeof constants);
  control->put.lock.allow_keeping();
  control->get.lock.allow_keeping();
  return memory;
}

namespace {

Constants read_constants(const os::Descriptor& memory) {
  const auto size = os::shared_memory_size(memory);
  if (!size || *size < sizeof(ControlArea)) throw ProtocolError("not a queue: no sealed memory of its size");
  const os::Mapping mapping(memory, kPage);
  Constants constants;
  std::memcpy(&constants, mapping.bytes().data(), sizeof constants);
  if (Geometry(constants).size != *size) throw ProtocolError("not a queue: its memory has another size");
  return constants;
}

}  // namespace

QueueMemory::QueueMemory(os::Descriptor memory)
    : constants(read_constants(memory)),
      geometry(constants),
      memory_(std::move(memory)),
      mapping_(memory_, geometry.mapped),
      base_(mapping_.bytes().data()) {}

void QueueMemory::allocate_word(std::uint64_t offset, std::uint64_t size, bool first) const {
  if (first || offset % kPage < size) os::allocate(memory_, offset, size);
}

void QueueMemory::throw_corrupt(const char* what) { throw ProtocolError(std::string("a queue's shared memory was overwritten: ") + what); }

}  // namespace troupe::queue
