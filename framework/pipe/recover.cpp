#include "pipe/recover.h"

#include "os/futex.h"

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

}  // namespace

void recover(std::span<std::byte> memory, Side side, shared::Slot slot) {
  PipeHeader& header = header_of(memory);
  header.ways[index(side)].send_lock.abandon(slot);
  header.ways[index(other(side))].receive_lock.abandon(slot);
  wake_all(header);
}

void end_gone(std::span<std::byte> memory, Side side) {
  PipeHeader& header = header_of(memory);
  header.ways[index(side)].no_sender.store(1, std::memory_order_seq_cst);
  header.ways[index(other(side))].no_receiver.store(1, std::memory_order_seq_cst);
  wake_all(header);
}

}  // namespace troupe::pipe
