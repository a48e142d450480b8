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
  [[nodiscard]] bool send(std::span<const std::byte> bytes, std::size_t attached = 0) {
    if (bytes.size() >= record_max_ || attached != 0 || socket_ >= 0) [[unlikely]]
      return send_unusual(bytes, attached);
    bool sent = false;
    guarded([&]() __attribute__((always_inline)) {
      const shared::Held held(send_lock_, Clock::time_point::max());
      take_writer(held);
      sent = send_record(bytes, 0);
    });
    if (sent) [[likely]]
      tell_receiver();
    else
      check_whole();
    return sent;
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
  [[nodiscard]] Received receive(std::vector<std::byte>& bytes, Extra& extra, Clock::time_point deadline) {
    Received received = Received::late;
    guarded([&]() __attribute__((always_inline)) {
      const shared::Held held(receive_lock_, deadline);
      if (!held) [[unlikely]]
        return;
      if (socket_ < 0) [[likely]]
        take_reader(held);
      received = socket_ < 0 && receive_whole(bytes) ? Received::frame : receive_unusual(bytes, extra, deadline);
    });
    if (received == Received::frame) [[likely]]
      tell_sender();
    else
      check_whole();
    return received;
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
  static constexpr std::uint32_t kFramesPerLook = 64;  // at which CPU we are

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
  bool wait_until_ready(Clock::time_point deadline) const;
  template <class Happened>
  bool happens_soon(shared::Patience& patience, Clock::time_point deadline, Happened happened) const;
  void note_cpu() const;
  // Another process may have written, or read, since we did: then its index is not where ours is. To look at it is to wait until the other
  // side's CPU, which looks at it all the time, gives it back.
  void take_writer(const shared::Held& held) {
    if (held.was_kept() && out_.index) [[likely]]
      return;
    if (!out_.index || out_.header->tail.load(std::memory_order_relaxed) != out_.index->published()) out_.index.emplace(out_.ring);
  }
  void take_reader(const shared::Held& held) {
    if (held.was_kept() && in_.index) [[likely]]
      return;
    if (!in_.index || in_.header->head.load(std::memory_order_relaxed) != in_.index->head()) in_.index.emplace(in_.ring);
  }
  std::byte* claim(std::size_t size);
  void publish(std::size_t size, std::uint16_t tag);
  bool send_record(std::span<const std::byte> bytes, std::uint16_t tag);
  bool send_unusual(std::span<const std::byte> bytes, std::size_t attached);
  bool send_pieces(std::span<const std::byte> bytes, std::uint16_t attached);
  bool send_piece(std::span<const std::byte> front, std::span<const std::byte> bytes, std::uint16_t tag);
  void wait_for_room();
  bool receive_whole(std::vector<std::byte>& bytes);
  Received receive_unusual(std::vector<std::byte>& bytes, Extra& extra, Clock::time_point deadline);
  Received receive_records(std::vector<std::byte>& bytes, Extra& extra, Clock::time_point deadline);
  Received receive_packets(std::vector<std::byte>& bytes, Extra& extra, Clock::time_point deadline);
  void receive_block(std::span<const std::byte> record, std::vector<std::byte>& bytes, Extra& extra);
  static bool take_piece(std::span<const std::byte> piece, std::uint16_t tag, std::vector<std::byte>& bytes, Extra& extra,
                         std::uint64_t& missing);
  std::optional<Received> wait_for_data(std::uint64_t& missing, bool& coming, Clock::time_point deadline);
  void wake_receiver() const;
  void wake_sender() const;
  // After unlocking, or a full fence, since the ring was published.
  void tell_receiver() const {
    if (socket_ < 0 && out_.header->reader_asleep.load(std::memory_order_seq_cst) != 0) [[unlikely]]
      wake_receiver();
  }
  // The same since the ring's head moved.
  void tell_sender() const {
    if (socket_ < 0 && in_.header->room_wanted.load(std::memory_order_seq_cst) != 0) [[unlikely]]
      wake_sender();
  }
  template <class Work>
  [[gnu::always_inline]] void guarded(const Work& work);
  [[noreturn]] static void throw_poisoned();
  void found_broken();
  [[nodiscard]] bool is_broken() const;
  void check_whole() const {
    if (is_broken()) [[unlikely]]
      throw_poisoned();
  }

  PipeHeader* header_;
  const Side side_;
  const int socket_;
  const std::size_t record_max_;  // others can write to the header
  const std::function<void()> when_broken_;
  shared::KeptLock::User send_lock_;
  shared::KeptLock::User receive_lock_;
  Blocks* blocks_;
  Channel<ring::RingWriter> out_;  // used under its send_lock
  Channel<ring::RingReader> in_;   // used under its receive_lock
  std::vector<std::byte> packet_;  // the same
  std::atomic<bool> poisoned_{false};
};

template <class Work>
inline void End::guarded(const Work& work) {
  if (poisoned_.load(std::memory_order_relaxed)) [[unlikely]]
    throw_poisoned();
  try {
    work();
  } catch (const ProtocolError&) {
    found_broken();
    throw;
  }
}

// Null when nobody can receive any more.
[[gnu::always_inline]] inline std::byte* End::claim(std::size_t size) {
  ring::RingWriter& ring = *out_.index;
  while (true) {
    if (out_.way->no_receiver.load(std::memory_order_acquire) != 0) [[unlikely]]
      return nullptr;
    if (std::byte* room = ring.claim_unzeroed(size)) [[likely]]
      return room;
    wait_for_room();
  }
}

[[gnu::always_inline]] inline void End::publish(std::size_t size, std::uint16_t tag) {
  out_.index->commit(size, tag);
  out_.index->publish();
  if (out_.frames++ % kFramesPerLook == 0) [[unlikely]]
    note_cpu();
}

[[gnu::always_inline]] inline bool End::send_record(std::span<const std::byte> bytes, std::uint16_t tag) {
  std::byte* room = claim(bytes.size());
  if (!room) [[unlikely]]
    return false;
  shared::copy_small(room, bytes.data(), bytes.size());
  publish(bytes.size(), tag);
  return true;
}

// What most frames are, if it is there.
[[gnu::always_inline]] inline bool End::receive_whole(std::vector<std::byte>& bytes) {
  ring::RingReader& ring = *in_.index;
  const ring::Frame* record = ring.peek();
  if (!record || record->tag != static_cast<std::uint16_t>(Part::whole)) [[unlikely]]
    return false;
  if (bytes.size() == record->size) [[likely]]
    shared::copy_small(bytes.data(), record->data, record->size);
  else
    bytes.assign(record->data, record->data + record->size);
  ring.release();
  if (in_.frames++ % kFramesPerLook == 0) [[unlikely]]
    note_cpu();
  return true;
}

}  // namespace troupe::pipe
