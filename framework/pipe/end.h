#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include <troupe/duration.h>
#include <troupe/errors.h>

#include "pipe/blocks.h"
#include "pipe/pipe_layout.h"
#include "ring/ring_reader.h"
#include "ring/ring_writer.h"
#include "shared/copy.h"
#include "shared/patience.h"

namespace troupe::pipe {

// What came besides bytes.
struct Extra {
  std::size_t attached = 0;  // as it was given to send()
  BlockHold block = {};      // instead of all that
};

struct Frame : Extra {
  std::vector<std::byte> bytes;
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
// Throws ProtocolError, now and ever after, if another process has broken the shared memory; so do all other users of both ends then, also
// those that sleep. std::length_error for a frame that is too large.
//
// Threads: any; they share their process's slot. One at a time sends and one at a time receives, the others wait for it.
class End {
 public:
  // `blocks` are this process's of the same pipe, if any go over it, and must outlive the end; so must the socket of this side.
  // `when_broken` is called when this process finds that the memory was overwritten, by the thread that does; also several at once.
  End(std::span<std::byte> memory, Side side, shared::Slot slot, Blocks* blocks = nullptr, int socket = -1,
      std::function<void()> when_broken = {});
  End(const End&) = delete;
  End& operator=(const End&) = delete;

  [[nodiscard]] bool sends() const { return out_.is_open; }
  [[nodiscard]] bool receives() const { return in_.is_open; }

  // Waits for room. False when nobody holds the other end any more. Needs sends().
  [[nodiscard]] bool send(std::span<const std::byte> bytes, std::size_t attached = 0);

  // The same for what most frames are, in a straight line without calls: a small one, for which there is room, sent by the thread of this
  // process that sent the last ones. Otherwise false, and nothing was done.
  [[nodiscard, gnu::always_inline]] bool send_at_once(std::span<const std::byte> bytes) {
    if (bytes.size() >= at_once_end_.load(std::memory_order_relaxed) || !send_lock_.enter()) [[unlikely]]
      return false;
    ring::RingWriter& ring = *out_.index;  // who keeps the lock has sent before
    std::byte* room = ring.room_here(bytes.size());
    if (!room || out_.way->no_receiver.load(std::memory_order_acquire) != 0) [[unlikely]]
      return nothing_done(send_lock_);
    shared::copy_inline(room, bytes.data(), bytes.size());
    ring.publish_here(bytes.size());
    const bool is_time = is_time_to_look(ring.committed(), bytes.size());
    const bool is_wanted = !send_lock_.leave();
    if (is_time || is_wanted || out_.header->reader_asleep.load(std::memory_order_seq_cst) != 0) [[unlikely]]
      return sent_at_once(is_wanted);
    return true;
  }

  // The block itself, which was made here or received here. It may be held on, and sent again.
  [[nodiscard]] bool send(const BlockHold& block);

  enum class Received { frame, ended, late };
  // Needs receives(). A frame that has begun to come in is waited for beyond the deadline, as long as its sender lives.
  [[nodiscard]] Received receive(Frame& frame, Clock::time_point deadline = Clock::time_point::max()) {
    frame.attached = 0;
    return receive(frame.bytes, frame, deadline);
  }
  // The same; `extra` is as made.
  [[nodiscard]] Received receive(std::vector<std::byte>& bytes, Extra& extra, Clock::time_point deadline);

  // The same as send_at_once(), for a frame that is there, has nothing attached, and is just as large as `bytes`.
  [[nodiscard, gnu::always_inline]] bool receive_at_once(std::span<std::byte> bytes) {
    if (bytes.size() >= at_once_end_.load(std::memory_order_relaxed) || !receive_lock_.enter()) [[unlikely]]
      return false;
    ring::RingReader& ring = *in_.index;
    const std::byte* frame = ring.frame_here(bytes.size());
    if (!frame) [[unlikely]]
      return nothing_done(receive_lock_);
    shared::copy_inline(bytes.data(), frame, bytes.size());
    ring.release_here(bytes.size());
    const std::uint64_t head = ring.head();
    const bool is_time = is_time_to_look(head, bytes.size());
    const bool is_wanted = !receive_lock_.leave();
    // The wish is 0 if there is none.
    if (is_time || is_wanted || in_.header->room_wanted.load(std::memory_order_seq_cst) - 1 < head) [[unlikely]]
      return received_at_once(is_wanted);
    return true;
  }

  // Something can be received, or the file has ended; false if `deadline` passed first. Not in the way of who sends or receives. Pieces of
  // a frame are something once the last one is there, or their sender waits for room. What a dead sender has left of one is nothing, but
  // over a socket: there it is found out by receive().
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
  static constexpr std::size_t kAtOnceEnd = 512;     // copying as much takes longer than all else
  static constexpr std::size_t kBytesPerLook = 4096;  // at which CPU we are

  // What the process knows of one direction.
  template <class Index>
  struct Channel {
    Way* way;
    std::span<std::byte> ring;
    bool is_open;  // a direction of this pipe
    std::optional<Index> index = {};
    ring::RingHeader* header = nullptr;
    mutable shared::Patience patience = {};
  };
  bool wait_until_ready(Clock::time_point deadline) const;
  template <class Happened>
  bool happens_soon(shared::Patience& patience, Clock::time_point deadline, Happened happened) const;
  void note_cpu() const;
  // Another process may have written, or read, since we did: then its index is not where ours is. To look at it is to wait until the other
  // side's CPU, which looks at it all the time, gives it back.
  void take_writer(const shared::Held& held);
  void take_reader(const shared::Held& held);
  [[nodiscard]] static bool is_time_to_look(std::uint64_t now, std::size_t size) { return (now ^ (now - size)) >= kBytesPerLook; }
  // The last things that those at once do, lest they have to save registers.
  [[gnu::cold, gnu::noinline]] static bool nothing_done(shared::KeptLock::User& lock);
  [[gnu::cold, gnu::noinline]] bool sent_at_once(bool is_wanted);
  [[gnu::cold, gnu::noinline]] bool received_at_once(bool is_wanted);
  std::byte* claim(std::size_t size);
  void publish(std::size_t size, std::uint16_t tag);
  bool send_record(std::span<const std::byte> bytes, std::uint16_t tag);
  bool send_pieces(std::span<const std::byte> bytes, std::uint16_t attached);
  bool send_piece(std::span<const std::byte> front, std::span<const std::byte> bytes, std::uint16_t tag);
  void wait_for_room();
  Received receive_records(std::vector<std::byte>& bytes, Extra& extra, Clock::time_point deadline);
  Received receive_packets(std::vector<std::byte>& bytes, Extra& extra, Clock::time_point deadline);
  void receive_block(std::span<const std::byte> record, std::vector<std::byte>& bytes, Extra& extra);
  static bool take_piece(std::span<const std::byte> piece, std::uint16_t tag, std::vector<std::byte>& bytes, Extra& extra,
                         std::uint64_t& missing);
  std::optional<Received> wait_for_data(std::uint64_t& missing, bool& coming, Clock::time_point deadline);
  // After unlocking, or a full fence, since the ring was published.
  void tell_receiver() const;
  // The same since the ring's head moved.
  void tell_sender() const;
  template <class Work>
  void guarded(const Work& work);
  [[noreturn]] static void throw_poisoned();
  void found_broken();
  [[nodiscard]] bool is_broken() const;
  void check_whole() const;

  PipeHeader* header_;
  const Side side_;
  const int socket_;
  const std::size_t record_max_;  // others can write to the header
  std::atomic<std::size_t> at_once_end_;  // 0 over sockets, and once the memory was found overwritten
  const std::function<void()> when_broken_;
  shared::KeptLock::User send_lock_;
  shared::KeptLock::User receive_lock_;
  Blocks* blocks_;
  Channel<ring::RingWriter> out_;  // used under its send_lock
  Channel<ring::RingReader> in_;   // used under its receive_lock
  std::vector<std::byte> packet_;  // the same
  std::atomic<bool> poisoned_{false};
};

}  // namespace troupe::pipe
