#pragma once

#include <sys/epoll.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include <troupe/duration.h>

#include "os/descriptor.h"

namespace troupe::transport {

// One end of a link: carries whole frames to and from one other process, in order, each at most once.
//
// The contract that ring, pipe and loopback all keep (tests/transport runs one suite on each):
//
//  * Sending: claim space, fill it, commit, and flush once a batch. A frame that was committed when its sender dies may or
//    may not arrive, but never in part.
//  * Receiving: peek, use, release. What peek() shows may lie in memory that the peer can still write: copy before parsing.
//  * A frame of any size up to frame_size_max goes through. One too large for the shared memory goes in pieces: claim() answers
//    "full" until the peer has taken them all, and flush() says whether pieces are left.
//  * A dead peer: what it committed can still be received; then closed() is true. Sending to it goes nowhere, without an error.
//  * A peer that breaks the rules: peek() throws ProtocolError, now and ever after; nothing else of it is believed.
//  * Nothing here blocks. To sleep: arm(), and only if it says true wait for descriptor() and lifeline(), no longer than until
//    retry_at(), then disarm().
//
//     epoll.add(link.descriptor(), Transport::kDescriptorEvents, key);
//     if (link.lifeline() >= 0) epoll.add(link.lifeline(), Transport::kLifelineEvents, key_of_lifeline);
//     while (!link.closed()) {
//       while (auto frame = link.peek()) { use(*frame); link.release(); }
//       link.flush();
//       if (link.arm()) { wait; if (the lifeline has an event) link.hang_up(); }
//       link.disarm();
//     }
//
// Threads: confined to one thread at a time.
class Transport {
 public:
  virtual ~Transport() = default;

  // Room for a frame of `size` bytes, 8-byte aligned and zeroed, or null while the link is full; a second claim before commit()
  // replaces the first. Throws std::length_error for a size over frame_size_max().
  [[nodiscard]] virtual std::byte* claim(std::size_t size) = 0;
  // The same, not zeroed: for those who overwrite every byte. It may show older frames.
  [[nodiscard]] virtual std::byte* claim_unzeroed(std::size_t size) = 0;
  // Sends the first `size` bytes of what was claimed; they become visible to the peer now or at flush().
  virtual void commit(std::size_t size) = 0;
  // Descriptors that go along with the next frame committed; throws std::length_error if there are more than kDescriptorsMax.
  virtual void attach(std::vector<os::Descriptor> descriptors) = 0;
  // Makes all that was committed visible and wakes the peer if it sleeps. False while some of it has to wait for room: call
  // again.
  virtual bool flush() = 0;

  // The oldest frame not yet released, 8-byte aligned, or nothing.
  [[nodiscard]] virtual std::optional<std::span<const std::byte>> peek() = 0;
  // Done with the frame that peek() showed.
  virtual void release() = 0;
  // The descriptors that came with the frame that peek() showed.
  [[nodiscard]] virtual std::vector<os::Descriptor> take_descriptors() = 0;
  // The peer is gone and everything it sent was received.
  [[nodiscard]] virtual bool closed() = 0;

  // Has an event, edge-triggered only, when there may be something to do: a frame, or room after claim() said full. The same as
  // long as the link lives. It is never read, so poll() is of no use on it.
  [[nodiscard]] virtual int descriptor() const = 0;
  static constexpr std::uint32_t kDescriptorEvents = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  // Has an event when the peer is gone, or -1 where descriptor() tells that too. A descriptor of its own, because to ask a
  // socket at every wake-up, or to wait for both behind a nested epoll, costs a tenth of a round trip.
  [[nodiscard]] virtual int lifeline() const { return -1; }
  static constexpr std::uint32_t kLifelineEvents = EPOLLRDHUP | EPOLLET;
  // The lifeline had an event, or root says that the peer is dead: nothing new will come, nothing is sent from now on.
  virtual void hang_up() = 0;
  // Flushes and tells the peer that we are going to sleep. False if there is something to do already: then do not sleep. An
  // armed link may still be sent over.
  [[nodiscard]] virtual bool arm() = 0;
  // Something that was committed waits for the kernel rather than for the peer, and nobody will tell when it may go: not to sleep
  // longer than until then, and then to flush() again. Of an armed link, too, that was sent over.
  [[nodiscard]] virtual Clock::time_point retry_at() const { return Clock::time_point::max(); }
  // We are awake: the peer may spare the wake-up call.
  virtual void disarm() = 0;
  // The peer ran on another CPU when it last told, so that it may answer while we spin.
  [[nodiscard]] virtual bool peer_on_other_cpu() const = 0;

  [[nodiscard]] virtual std::size_t frame_size_max() const = 0;

  static constexpr std::size_t kDescriptorsMax = 16;
};

}  // namespace troupe::transport
