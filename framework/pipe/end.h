#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include <troupe/duration.h>

#include "pipe/blocks.h"
#include "pipe/pipe_layout.h"
#include "ring/ring_reader.h"
#include "ring/ring_writer.h"
#include "shared/patience.h"

namespace troupe::pipe {

struct Frame {
  std::vector<std::byte> bytes;
  std::size_t attached = 0;  // as it was given to send()
  BlockHold block = {};      // instead of all that
};

// One end of a pipe in shared memory, as one process holds it: others may hold the same end under other slots.
//
//     End end(memory, Side::first, slot);
//     if (!end.send(bytes)) …              // nobody will ever receive it
//     while (end.receive(frame) == Received::frame) use(frame.bytes);
//
// Any process may be killed at any instruction. Once root has called recover() with its slot, the others go on: what it was sending
// arrives whole or not at all, what it was receiving is received by another or (a frame larger than a record, begun by the dead) not at
// all. Once root has called end_gone(), the other side finds the end of the file when it has received what is there, and cannot
// send.
//
// Over sockets (see packets.h) all this is the same, but that the kernel keeps what is under way and wakes who waits.
//
// Throws ProtocolError, now and ever after, if another process has broken the shared memory; std::length_error for a frame that is too
// large.
//
// Threads: any; they share their process's slot. One at a time sends and one at a time receives, the others wait for it.
class End {
 public:
  // `blocks` are this process's of the same pipe, if any go over it, and must outlive the end; so must the socket of this side.
  End(std::span<std::byte> memory, Side side, shared::Slot slot, Blocks* blocks = nullptr, int socket = -1);
  End(const End&) = delete;
  End& operator=(const End&) = delete;

  [[nodiscard]] bool sends() const { return out_.is_open; }
  [[nodiscard]] bool receives() const { return in_.is_open; }

  // Waits for room. False when nobody holds the other end any more. Needs sends().
  [[nodiscard]] bool send(std::span<const std::byte> bytes, std::size_t attached = 0);

  // The block itself, which was made here or received here. It may be held on, and sent again.
  [[nodiscard]] bool send(const BlockHold& block);

  enum class Received { frame, ended, late };
  // Needs receives(). A frame that has begun to come in is waited for beyond the deadline, as long as its sender lives.
  [[nodiscard]] Received receive(Frame& frame, Clock::time_point deadline = Clock::time_point::max());

  // Something can be received, or the file has ended; false if `deadline` passed first. Not in the way of who sends or receives.
  [[nodiscard]] bool poll(Clock::time_point deadline) const;
  [[nodiscard]] bool ready() const;

  // -1 if it goes over rings. To be polled by those who wait for other things as well: readable when ready().
  [[nodiscard]] int socket() const { return socket_; }

  // The same for rings: declares the wish to be woken. Then look at ready() again, and sleep on data_epoch()
  // being what this returned.
  [[nodiscard]] std::uint32_t arm() const;
  [[nodiscard]] const HalfWord& data_epoch() const { return in_.way->data_epoch; }

  // Larger frames than that go in pieces.
  [[nodiscard]] std::size_t record_max() const { return record_max_; }

 private:
  // What the process knows of one direction.
  template <class Index>
  struct Channel {
    Way* way;
    std::span<std::byte> ring;
    bool is_open;  // a direction of this pipe
    std::optional<Index> index = {};
    ring::RingHeader* header = nullptr;
    mutable shared::Patience patience = {};
    std::uint32_t frames = 0;  // that went
  };
  template <class Happened>
  bool happens_soon(shared::Patience& patience, Clock::time_point deadline, Happened happened) const;
  void note_cpu() const;
  ring::RingWriter& writer();
  ring::RingReader& reader();
  std::byte* claim(std::size_t size);
  bool send_record(std::span<const std::byte> front, std::span<const std::byte> bytes, std::uint16_t tag);
  bool send_pieces(std::span<const std::byte> bytes, std::uint16_t attached);
  void wait_for_room();
  void receive_block(std::span<const std::byte> bytes, Frame& frame);
  Received receive_locked(Frame& frame, Clock::time_point deadline);
  Received receive_packets(Frame& frame, Clock::time_point deadline);
  static bool take_piece(std::span<const std::byte> bytes, std::uint16_t tag, Frame& frame, std::uint64_t& missing);
  std::optional<Received> wait_for_data(std::uint64_t& missing, Clock::time_point deadline);
  void tell_receiver() const;
  void tell_sender() const;
  template <class Work>
  void guarded(Work work);

  PipeHeader* header_;
  const Side side_;
  const int socket_;
  const std::size_t record_max_;  // others can write to the header
  shared::KeptLock::User send_lock_;
  shared::KeptLock::User receive_lock_;
  Blocks* blocks_;
  Channel<ring::RingWriter> out_;  // used under its send_lock
  Channel<ring::RingReader> in_;   // used under its receive_lock
  std::vector<std::byte> packet_;  // the same
  std::atomic<bool> poisoned_{false};
};

}  // namespace troupe::pipe
