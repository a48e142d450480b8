#include "pipe/recover.h"

#include <troupe/errors.h>

#include "os/futex.h"
#include "os/memory.h"
#include "pipe/blocks.h"
#include "pipe/packets.h"
#include "ring/ring.h"

namespace troupe::pipe {
namespace {

void wake_all(PipeHeader& header) {
  for (Way& way : header.ways) {
    for (HalfWord* epoch : {&way.data_epoch, &way.room_epoch}) {
      epoch->fetch_add(1, std::memory_order_seq_cst);
      os::futex_wake_all(*epoch);
    }
  }
}

// Done if the ring's index is where it leads. The counts only grow, and nobody else raises this one as long as the dead holds the lock.
void finish(BlockTable& table, BlockStage& stage, const Word& index, std::array<Word, 2> BlockRecord::*counts, std::size_t side) {
  const auto block = stage.block.load(std::memory_order_relaxed);
  if (block >= kBlocksMax) throw ProtocolError("a block that cannot be");
  if (index.load(std::memory_order_acquire) == stage.position.load(std::memory_order_relaxed))
    (table.records[block].*counts)[side].store(stage.count.load(std::memory_order_relaxed), std::memory_order_seq_cst);
  stage.owner.store(0, std::memory_order_release);
}

template <class Look>
void free_unused(std::span<std::byte> memory, BlockTable& table, Look look) {
  for (BlockRecord& record : table.records) {
    look(record);
    const auto word = record.state.load(std::memory_order_seq_cst);
    if (state_of(word) == BlockState::used) free_if_unused(header_of(memory), table, record, word);
  }
}

}  // namespace

void recover_blocks(std::span<std::byte> memory, shared::Slot slot) {
  BlockTable* table = block_table(memory);
  if (!table || slot >= kHoldersMax) return;
  for (const Side side : {Side::first, Side::second}) {
    const auto bytes = ring_of(memory, side);
    if (bytes.empty()) continue;
    Way& way = header_of(memory).ways[index(side)];
    const ring::RingHeader& ring = *ring::Ring(bytes).header;
    if (way.sending.owner.load(std::memory_order_acquire) == slot + 1)
      finish(*table, way.sending, ring.tail, &BlockRecord::sent, index(side));
    if (way.receiving.owner.load(std::memory_order_acquire) == slot + 1)
      finish(*table, way.receiving, ring.head, &BlockRecord::received, index(side));
  }
  const auto bit = std::uint64_t{1} << slot % 64;
  free_unused(memory, *table, [&](BlockRecord& record) {
    Word& holders = record.holders[slot / 64];
    if ((holders.load(std::memory_order_relaxed) & bit) != 0) holders.fetch_and(~bit, std::memory_order_seq_cst);
  });
  table->lock.abandon(slot);
  table->epoch.fetch_add(1, std::memory_order_seq_cst);
  os::futex_wake_all(table->epoch);
}

void recover(std::span<std::byte> memory, Side side, shared::Slot slot, int socket) {
  PipeHeader& header = header_of(memory);
  if (header.ways[index(side)].send_lock.abandon(slot) && socket >= 0) nudge(socket);
  header.ways[index(other(side))].receive_lock.abandon(slot);
  wake_all(header);
}

void end_gone(std::span<std::byte> memory, Side side, int socket) {
  PipeHeader& header = header_of(memory);
  header.ways[index(side)].no_sender.store(1, std::memory_order_seq_cst);
  header.ways[index(other(side))].no_receiver.store(1, std::memory_order_seq_cst);
  if (socket >= 0) shut(socket);
  if (BlockTable* table = block_table(memory)) free_unused(memory, *table, [](BlockRecord&) {});
  wake_all(header);
}

void check_locks(std::span<std::byte> memory, Side side, const std::function<bool(shared::Slot)>& is_user) {
  const PipeHeader& header = header_of(memory);
  for (const Way& way : header.ways) way.send_lock.check_whole(), way.receive_lock.check_whole();  // who broke some may have died over it
  for (const auto holder : {header.ways[index(side)].send_lock.owner(), header.ways[index(other(side))].receive_lock.owner()})
    if (holder && !is_user(*holder)) throw ProtocolError("a pipe's shared memory was overwritten: a lock that nobody holds");
}

// The table of the blocks lies where the header says, which is not to be believed: see End::found_broken().
void break_for_good(PipeHeader& header, int socket) {
  for (Way& way : header.ways) way.send_lock.break_for_good(), way.receive_lock.break_for_good();
  wake_all(header);
  if (socket >= 0) shut(socket);
}

void break_for_good(const os::Descriptor& memory, int socket) {
  const auto size = os::shared_memory_size(memory);
  if (!size || *size < kPipeHeaderSize) return;
  const os::Mapping mapping(memory, kPipeHeaderSize);
  break_for_good(*reinterpret_cast<PipeHeader*>(mapping.bytes().data()), socket);
}

}  // namespace troupe::pipe
