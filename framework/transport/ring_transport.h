#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include <troupe/errors.h>

#include "os/descriptor.h"
#include "os/memory.h"
#include "ring/ring_reader.h"
#include "ring/ring_writer.h"
#include "transport/transport.h"

namespace troupe::transport {

// A link through shared memory: a ring each way, a doorbell (eventfd) each way, and a pair of sockets that carries descriptors
// and whose end shows the peer's. Whoever is awake costs no system call.
//
// Final and inline where it matters: a caller that holds a RingTransport instead of a Transport pays no virtual calls.
//
// A frame goes directly into the ring if it takes at most a quarter of it; a larger one, or one with descriptors that the
// socket has no room for, waits in private memory and goes in pieces as room comes.
//
// Threads: confined to one thread at a time.
class RingTransport final : public Transport {
 public:
  enum class Side { maker, joiner };  // the first ring of the memory is written by the maker, the second by the joiner

  struct Parts {
    os::Mapping memory;
    Side side;
    std::size_t frame_size_max;
    os::Descriptor own_bell, peer_bell, socket;
  };
  // Throws ProtocolError if the memory does not hold two rings.
  explicit RingTransport(Parts parts);
  ~RingTransport() override;

  [[nodiscard]] std::byte* claim(std::size_t size) override {
    std::byte* frame = claim_unzeroed(size);
    if (frame) std::memset(frame, 0, (size + 7) & ~std::size_t{7});
    return frame;
  }

  [[nodiscard]] std::byte* claim_unzeroed(std::size_t size) override {
    if (size < direct_limit_) [[likely]] {
      if (std::byte* frame = claim_in_ring(size)) [[likely]]
        return frame;
    }
    return claim_slow(size);
  }

  void commit(std::size_t size) override {
    if (plain_claim_) [[likely]] {
      writer_.commit(size);
    } else {
      commit_slow(size);
    }
  }

  void attach(std::vector<os::Descriptor> descriptors) override;

  bool flush() override {
    if (outgoing_.waiting) [[unlikely]]
      push();
    writer_.publish();
    if (writer_.published() != tail_told_ || reader_.head() != head_told_) tell_peer();
    return !outgoing_.waiting;
  }

  [[nodiscard]] std::optional<std::span<const std::byte>> peek() override {
    const ring::Frame* frame = reader_.peek();
    if (!frame) {
      // No fence, so we may see this late: but either peek() is called again, or arm() looks properly.
      if (reader_.header().room_wanted.load(std::memory_order_relaxed) != 0) tell_peer();
      return {};
    }
    if (frame->tag == 0 && !incoming_.assembling) [[likely]]
      return frame->bytes();
    return peek_slow(frame);
  }

  void release() override {
    if (incoming_.opened) [[unlikely]]
      incoming_ = {};
    reader_.release();
  }

  [[nodiscard]] std::vector<os::Descriptor> take_descriptors() override { return std::move(incoming_.descriptors); }
  [[nodiscard]] bool closed() override { return gone_ && !reader_.has_more(); }

  [[nodiscard]] int descriptor() const override { return own_bell_.get(); }
  [[nodiscard]] int lifeline() const override { return socket_.get(); }
  void hang_up() override;
  [[nodiscard]] bool arm() override;
  [[nodiscard]] Clock::time_point retry_at() const override { return retry_at_; }
  void disarm() override;
  [[nodiscard]] bool peer_on_other_cpu() const override;
  [[nodiscard]] std::size_t frame_size_max() const override { return frame_size_max_; }

 private:
  // A frame in private memory on its way out.
  struct Outgoing {
    std::unique_ptr<std::byte[]> bytes;
    std::size_t room = 0;  // of bytes
    std::size_t size = 0;
    std::size_t sent = 0;
    std::vector<os::Descriptor> descriptors;
    std::uint16_t descriptor_count = 0;  // of those that went ahead through the socket
    bool claimed = false;
    bool waiting = false;
  };
  // What belongs to the frame at the head of the inbound ring, where it is not a plain one.
  struct Incoming {
    std::vector<std::byte> bytes;  // of pieces
    std::size_t size = 0;          // that the pieces shall have together
    std::vector<os::Descriptor> descriptors;
    bool assembling = false;
    bool opened = false;  // complete: the record at the head is the frame, or its last piece
  };

  std::byte* claim_in_ring(std::size_t size) {
    std::byte* frame = nullptr;
    try {
      frame = writer_.claim_unzeroed(size);
    } catch (const ProtocolError&) {
      reader_.poison("the link's peer broke the rules of the ring it reads");
      hang_up();
    }
    plain_claim_ = frame != nullptr;
    ring_claim_ = frame;
    return frame;
  }
  std::byte* claim_slow(std::size_t size);
  void commit_slow(std::size_t size);
  std::byte* private_room(std::size_t size);
  void push();
  bool push_descriptors();
  bool push_frame();
  bool push_pieces();
  void sent();

  std::optional<std::span<const std::byte>> peek_slow(const ring::Frame* frame);
  void open_whole(const ring::Frame& frame);
  void add_piece(const ring::Frame& frame);
  void receive_descriptors(std::size_t count);
  [[noreturn]] void fail(const char* why);

  void tell_peer();
  void ring_bell_if_due();
  void ask_for_room();
  [[nodiscard]] std::uint64_t room_wanted() const;
  [[nodiscard]] bool busy() const { return retry_at_ != Clock::time_point::max(); }

  os::Mapping memory_;
  ring::RingReader reader_;
  ring::RingWriter writer_;
  std::size_t frame_size_max_;
  std::size_t direct_limit_;  // frames smaller than this go into the ring at once; 0 while something special is the case
  std::byte* ring_claim_ = nullptr;
  bool plain_claim_ = false;  // the claim lies in the ring and nothing is attached
  bool gone_ = false;
  bool armed_ = false;
  bool wants_room_ = false;      // a claim failed, or outgoing_ waits
  bool armed_for_room_ = false;  // and the peer was told
  std::uint64_t tail_told_ = 0;  // published and read as far as tell_peer() last told
  std::uint64_t head_told_ = 0;
  Clock::time_point retry_at_ = Clock::time_point::max();  // outgoing_ waits for the kernel, not for the peer
  Outgoing outgoing_;
  Incoming incoming_;
  std::vector<os::Descriptor> attached_;
  std::uint64_t packets_sent_ = 0;
  std::uint64_t packets_received_ = 0;
  os::Descriptor own_bell_, peer_bell_, socket_;
};

}  // namespace troupe::transport
