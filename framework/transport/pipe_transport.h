#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <vector>

#include "os/descriptor.h"
#include "transport/buffer.h"
#include "transport/transport.h"

namespace troupe::transport {

// A link through a pair of stream sockets. Frames are built in a buffer and sent many at a time, by flush() or when enough is
// there; a frame in the way of a full socket waits in that buffer, and claim() says full when too much waits. Needs a system
// call a batch, but no memory shared with the peer: nobody can touch what the other one reads.
//
// Threads: confined to one thread at a time.
class PipeTransport final : public Transport {
 public:
  // One of a pair of connected, non-blocking stream sockets.
  PipeTransport(os::Descriptor socket, std::size_t frame_size_max)
      : socket_(std::move(socket)), frame_size_max_(frame_size_max) {}
  ~PipeTransport() override;

  [[nodiscard]] std::byte* claim(std::size_t size) override;
  [[nodiscard]] std::byte* claim_unzeroed(std::size_t size) override;
  void commit(std::size_t size) override;
  void attach(std::vector<os::Descriptor> descriptors) override;
  bool flush() override;

  [[nodiscard]] std::optional<std::span<const std::byte>> peek() override;
  void release() override;
  [[nodiscard]] std::vector<os::Descriptor> take_descriptors() override { return std::move(descriptors_); }
  [[nodiscard]] bool closed() override { return ended_ && !poisoned_ && !find_frame(); }

  [[nodiscard]] int descriptor() const override { return socket_.get(); }
  void hang_up() override;
  [[nodiscard]] bool arm() override;
  [[nodiscard]] Clock::time_point retry_at() const override { return retry_at_; }
  void disarm() override { drained_ = false; }
  [[nodiscard]] bool peer_on_other_cpu() const override { return false; }
  [[nodiscard]] std::size_t frame_size_max() const override { return frame_size_max_; }

 private:
  // Descriptors that go with the byte at `position` of all that was ever sent.
  struct Parcel {
    std::uint64_t position;
    std::vector<os::Descriptor> descriptors;
  };

  std::span<std::byte> next_run() const;
  void drop_outgoing();
  bool find_frame();
  bool fill();
  bool fail(const char* why);  // false

  os::Descriptor socket_;
  std::size_t frame_size_max_;

  Buffer outgoing_;
  std::uint64_t sent_ = 0;  // bytes ever
  std::deque<Parcel> parcels_;
  std::vector<os::Descriptor> attached_;
  std::byte* claim_ = nullptr;
  std::size_t claim_size_ = 0;
  bool gone_ = false;        // nobody will read what we send
  bool wants_room_ = false;  // a claim failed
  Clock::time_point retry_at_ = Clock::time_point::max();  // what waits waits for the kernel, not for the peer

  Buffer incoming_;
  std::deque<os::Descriptor> descriptors_came_;  // ahead of their frames
  std::vector<os::Descriptor> descriptors_;      // of the frame that is open
  std::optional<std::size_t> open_;              // size of the complete frame at the beginning of incoming_
  const char* poisoned_ = nullptr;
  bool drained_ = false;  // the socket had no more when we last looked; new bytes come with an event
  bool ended_ = false;    // and never will
};

}  // namespace troupe::transport
