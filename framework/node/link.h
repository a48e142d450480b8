#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "node/letter.h"
#include "transport/link.h"
#include "transport/ring_transport.h"
#include "transport/transport.h"

namespace troupe::node {

class Peer;

// Whole frames, one behind the other in one piece of memory: there may be thousands of them, and they are short.
//
// Threads: a value.
class FrameQueue {
 public:
  [[nodiscard]] bool empty() const { return begin_ == end_; }
  // Room for a frame of that size, at the end, aligned to 8 bytes; good until the next call.
  std::byte* push_back(std::size_t size);
  [[nodiscard]] std::span<const std::byte> front() const;
  void pop_front();

 private:
  void make_room(std::size_t size);

  std::unique_ptr<std::byte[]> memory_;  // each frame behind its size
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

// One link of a node, and what has to wait for room in it. Calls a ring directly, anything else through Transport.
//
// Threads: the node's.
class Link {
 public:
  Link(Peer& peer, std::uint64_t id, std::unique_ptr<transport::Transport> transport);

  // Puts the frame into the link; false while that is full or others wait before it.
  bool send(const message::FrameHeader& header, const detail::Payload& payload) {
    if (owing()) return false;
    const std::size_t size = message::frame_size(payload);
    std::byte* to = ring_ ? ring_->claim_unzeroed(size) : transport_->claim_unzeroed(size);
    if (!to) return false;
    message::write_frame(to, header, payload);
    ring_ ? ring_->commit(size) : transport_->commit(size);
    return true;
  }
  bool send(const KeptFrame& frame);
  // Where to write a frame that is kept until there is room: behind the others, or before all that is no control message. Throws
  // std::length_error if it is larger than the link takes.
  std::byte* keep(std::size_t size, bool control);
  // Sends what waits, as far as there is room; true when nothing waits any more.
  bool push();
  bool flush() { return ring_ ? ring_->flush() : transport_->flush(); }
  [[nodiscard]] bool owing() const { return owed_frames_ != 0; }
  [[nodiscard]] std::size_t owed_bytes() const { return owed_bytes_; }
  [[nodiscard]] std::size_t owed_frames() const { return owed_frames_; }

  [[nodiscard]] std::optional<std::span<const std::byte>> peek() { return ring_ ? ring_->peek() : transport_->peek(); }
  [[nodiscard]] bool readable();  // or broken, which peek() then says
  void release() { ring_ ? ring_->release() : transport_->release(); }

  [[nodiscard]] transport::Transport& transport() { return *transport_; }
  [[nodiscard]] Peer& peer() { return *peer_; }
  [[nodiscard]] std::uint64_t id() const { return id_; }

  // For the loop: what it knows about this link.
  bool active = false;       // looked at in every pass, and disarmed
  bool dirty = false;        // something was sent since the last flush
  bool owing_noted = false;  // in the list of those that owe
  bool lost = false;         // over; in the graveyard
  bool may_rest = false;     // lost, and the other side does not wait for us to close it
  std::vector<CellId> waiters;  // actors that sent more than it takes

 private:
  Peer* peer_;
  std::uint64_t id_;
  std::unique_ptr<transport::Transport> transport_;
  transport::RingTransport* ring_;
  FrameQueue control_;
  FrameQueue frames_;
  std::size_t owed_bytes_ = 0;
  std::size_t owed_frames_ = 0;
};

// A process that this one exchanges messages with: its links, and those of its actors that want no messages for now. What is sent
// goes over one link, so that it arrives in order; several are listened to, as both sides may have made one at the same time.
//
// Threads: the node's.
class Peer {
 public:
  Peer(std::uint64_t number, const transport::LinkOptions& link_options) : process(number), options(link_options) {}

  // An actor there whose mailbox is full.
  struct Paused {
    std::uint32_t generation = 0;
    std::deque<KeptFrame> held;
    std::size_t held_bytes = 0;
    std::vector<CellId> waiters;
  };
  static constexpr std::size_t kPausedMax = 65536;
  static constexpr std::size_t kLinksMax = 16;  // that it may have made

  std::uint64_t process;
  transport::LinkOptions options;
  Link* out = nullptr;
  std::vector<std::unique_ptr<Link>> links;
  std::unordered_map<std::uint32_t, Paused> paused;
  std::size_t watching = 0;    // monitors it has on actors of ours
  std::optional<Death> death;  // it is gone, and so are its links
  Death no_link;               // why none could be made, the last time
};

}  // namespace troupe::node
