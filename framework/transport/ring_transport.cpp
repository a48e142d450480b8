#include "transport/ring_transport.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <stdexcept>
#include <string>

#include <troupe/errors.h>

#include "base/check.h"
#include "os/affinity.h"
#include "os/event.h"
#include "os/socket.h"

namespace troupe::transport {
namespace {

// What a record's tag says. A plain frame has tag 0. The first of several pieces begins with the size of the whole, 8 bytes.
constexpr std::uint16_t kDescriptorBits = 0x1f;  // so many descriptors came ahead through the socket
constexpr std::uint16_t kPiece = 0x100;
constexpr std::uint16_t kFirst = 0x200;
constexpr std::uint16_t kLast = 0x400;

constexpr std::size_t kKeptRoom = std::size_t{1} << 20;  // of private memory, for the next large frame

std::span<std::byte> ring_of(const os::Mapping& memory, bool first) {
  const std::size_t half = memory.bytes().size() / 2;
  return memory.bytes().subspan(first ? 0 : half, half);
}

}  // namespace

RingTransport::RingTransport(Parts parts)
    : memory_(std::move(parts.memory)),
      reader_(ring_of(memory_, parts.side == Side::joiner)),
      writer_(ring_of(memory_, parts.side == Side::maker)),
      frame_size_max_(parts.frame_size_max),
      direct_limit_(writer_.capacity() / 4 + 1),
      own_bell_(std::move(parts.own_bell)),
      peer_bell_(std::move(parts.peer_bell)),
      socket_(std::move(parts.socket)) {
  tail_told_ = writer_.published();
  head_told_ = reader_.head();
  reader_.header().reader_cpu.store(static_cast<std::uint32_t>(os::current_cpu() + 1), std::memory_order_relaxed);
}

RingTransport::~RingTransport() { writer_.publish(); }  // closing the socket wakes the peer

// Sending what does not simply go into the ring.

std::byte* RingTransport::claim_slow(std::size_t size) {
  if (size > frame_size_max_) {
    throw std::length_error("a frame of " + std::to_string(size) + " bytes is over the link's limit of " +
                            std::to_string(frame_size_max_));
  }
  plain_claim_ = false;
  ring_claim_ = nullptr;
  if (gone_) return private_room(size);
  if (outgoing_.waiting) {
    flush();
    if (!outgoing_.waiting && !gone_) return claim_unzeroed(size);
  }
  if (outgoing_.waiting || size < direct_limit_) {
    wants_room_ = true;
    flush();  // who tries again and again shall not wait for a peer that was not told
    if (armed_ && !busy()) ask_for_room();
    return nullptr;
  }
  return private_room(size);
}

std::byte* RingTransport::private_room(std::size_t size) {
  if (size > outgoing_.room || !outgoing_.bytes) {
    outgoing_.room = std::max<std::size_t>(size, 64);
    outgoing_.bytes = std::make_unique_for_overwrite<std::byte[]>((outgoing_.room + 7) & ~std::size_t{7});
  }
  outgoing_.claimed = true;
  return outgoing_.bytes.get();
}

void RingTransport::commit_slow(std::size_t size) {
  if (gone_) return attached_.clear();                                  // goes nowhere
  if (ring_claim_) std::memcpy(private_room(size), ring_claim_, size);  // descriptors were attached after claim()
  TROUPE_CHECK(outgoing_.claimed && size <= outgoing_.room, "commit() takes at most what claim() gave, once");
  ring_claim_ = nullptr;
  outgoing_.claimed = false;
  outgoing_.size = size;
  outgoing_.sent = 0;
  outgoing_.descriptor_count = 0;
  outgoing_.descriptors = std::exchange(attached_, {});
  outgoing_.waiting = true;
  direct_limit_ = 0;
  push();
}

void RingTransport::attach(std::vector<os::Descriptor> descriptors) {
  if (attached_.size() + descriptors.size() > kDescriptorsMax)
    throw std::length_error("more descriptors than go with one frame");
  for (auto& descriptor : descriptors) attached_.push_back(std::move(descriptor));
  plain_claim_ = plain_claim_ && attached_.empty();
  if (!attached_.empty()) direct_limit_ = 0;
}

// As much of the outgoing frame as goes now.
void RingTransport::push() {
  const bool whole = outgoing_.size <= writer_.capacity() / 4;
  if (push_descriptors() && (whole ? push_frame() : push_pieces())) {
    sent();
  } else if (armed_ && outgoing_.waiting && !busy()) {
    ask_for_room();
  }
}

bool RingTransport::push_descriptors() {
  auto& descriptors = outgoing_.descriptors;
  if (descriptors.empty()) return true;
  std::array<int, kDescriptorsMax> fds{};
  std::ranges::transform(descriptors, fds.begin(), &os::Descriptor::get);
  const auto packet = std::as_bytes(std::span(&packets_sent_, 1));
  const auto result = os::send_packet(socket_.get(), packet, std::span(fds).first(descriptors.size()));
  retry_at_ = result == os::SendResult::busy ? Clock::now() + os::kBusyDelay : Clock::time_point::max();
  if (result == os::SendResult::gone) hang_up();
  if (result != os::SendResult::sent) return false;
  ++packets_sent_;
  outgoing_.descriptor_count = static_cast<std::uint16_t>(descriptors.size());
  descriptors.clear();
  return true;
}

bool RingTransport::push_frame() {
  std::byte* place = claim_in_ring(outgoing_.size);
  if (!place) return false;
  std::memcpy(place, outgoing_.bytes.get(), outgoing_.size);
  writer_.commit(outgoing_.size, outgoing_.descriptor_count);
  return true;
}

bool RingTransport::push_pieces() {
  const std::size_t piece_max = writer_.capacity() / 8;
  while (outgoing_.sent < outgoing_.size) {
    const bool first = outgoing_.sent == 0;
    const std::size_t size = std::min(outgoing_.size - outgoing_.sent, piece_max);
    const bool last = outgoing_.sent + size == outgoing_.size;
    std::byte* place = claim_in_ring(size + (first ? sizeof outgoing_.size : 0));
    if (!place) return false;
    std::byte* start = place;
    if (first) {
      std::memcpy(place, &outgoing_.size, sizeof outgoing_.size);
      place += sizeof outgoing_.size;
    }
    std::memcpy(place, outgoing_.bytes.get() + outgoing_.sent, size);
    const std::uint16_t tag = kPiece | (first ? kFirst | outgoing_.descriptor_count : 0) | (last ? kLast : 0);
    writer_.commit(static_cast<std::size_t>(place + size - start), tag);
    outgoing_.sent += size;
    writer_.publish();  // the peer can copy while we go on
  }
  return true;
}

void RingTransport::sent() {
  outgoing_.waiting = false;
  direct_limit_ = writer_.capacity() / 4 + 1;
  plain_claim_ = false;
  ring_claim_ = nullptr;
  if (outgoing_.room > kKeptRoom) outgoing_ = {};
}

// Receiving what is not a plain frame.

std::optional<std::span<const std::byte>> RingTransport::peek_slow(const ring::Frame* frame) {
  for (; frame; reader_.release(), frame = reader_.peek()) {
    if (incoming_.opened) return incoming_.assembling ? std::span<const std::byte>(incoming_.bytes) : frame->bytes();
    if ((frame->tag & kPiece) == 0) {
      open_whole(*frame);
      return frame->bytes();
    }
    add_piece(*frame);
    if (incoming_.opened) return incoming_.bytes;
  }
  return {};
}

void RingTransport::open_whole(const ring::Frame& frame) {
  if (incoming_.assembling || (frame.tag & ~kDescriptorBits) != 0)
    fail("the link's peer sent a frame amid the pieces of another");
  receive_descriptors(frame.tag);
  incoming_.opened = true;
}

void RingTransport::add_piece(const ring::Frame& frame) {
  const bool first = (frame.tag & kFirst) != 0;
  if (first == incoming_.assembling || (frame.tag & ~(kDescriptorBits | kPiece | kFirst | kLast)) != 0) {
    fail("the link's peer sent the pieces of a frame in disorder");
  }
  auto bytes = frame.bytes();
  if (first) {
    if (bytes.size() < sizeof incoming_.size) fail("the link's peer sent a piece that is too short");
    std::memcpy(&incoming_.size, bytes.data(), sizeof incoming_.size);
    bytes = bytes.subspan(sizeof incoming_.size);
    if (incoming_.size > frame_size_max_) fail("the link's peer announced a frame over the limit");
    receive_descriptors(frame.tag & kDescriptorBits);
    incoming_.assembling = true;
  } else if ((frame.tag & kDescriptorBits) != 0) {
    fail("the link's peer sent descriptors amid a frame");
  }
  // Grows with what really came, never by what was announced.
  if (bytes.size() > incoming_.size - incoming_.bytes.size()) fail("the link's peer sent more than it announced");
  incoming_.bytes.insert(incoming_.bytes.end(), bytes.begin(), bytes.end());
  incoming_.opened = (frame.tag & kLast) != 0;
  if (incoming_.opened && incoming_.bytes.size() != incoming_.size) fail("the link's peer sent less than it announced");
}

void RingTransport::receive_descriptors(std::size_t count) {
  if (count == 0) return;
  std::uint64_t number = 0;
  auto packet = os::receive_packet(socket_.get(), std::as_writable_bytes(std::span(&number, 1)));
  // The peer sends them before it commits the frame, so they are there.
  const bool right = packet.state == os::ReceivedPacket::State::packet && packet.size == sizeof number &&
                     number == packets_received_ && !packet.truncated && !packet.descriptors_lost && packet.descriptors.size() == count;
  if (!right) fail("the descriptors that belong to a frame did not come, or this process may not open more");
  ++packets_received_;
  incoming_.descriptors = std::move(packet.descriptors);
}

void RingTransport::fail(const char* why) {
  incoming_ = {};
  reader_.poison(why);
  hang_up();
  throw ProtocolError(why);
}

void RingTransport::hang_up() {
  gone_ = true;
  direct_limit_ = 0;
  wants_room_ = false;
  outgoing_.waiting = false;  // its memory stays: somebody may be writing what he claimed
  outgoing_.descriptors.clear();
  retry_at_ = Clock::time_point::max();
  plain_claim_ = false;
}

// Sleeping and waking. Nobody may sleep while something is there for him, and nobody is woken who is awake: each side first
// stores what the other has to know, then, after a full fence, looks at what the other stored. So at least one of the two sees
// the other.

// The half of who has news: published frames (our tail) and freed room (our head) are stored, see flush(). The half of who goes
// to sleep is arm().
void RingTransport::tell_peer() {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  ring_bell_if_due();
}

void RingTransport::ring_bell_if_due() {
  bool due = false;
  if (writer_.published() != tail_told_) {
    auto& asleep = writer_.header().reader_asleep;
    due = asleep.load(std::memory_order_relaxed) != 0;
    // It is told once. If it woke and fell asleep again meanwhile we take that back wrongly, but the bell comes after.
    if (due) asleep.store(0, std::memory_order_relaxed);
    tail_told_ = writer_.published();
  }
  auto& wanted = reader_.header().room_wanted;
  if (const auto position = wanted.load(std::memory_order_relaxed); position != 0 && reader_.head() >= position) {
    wanted.store(0, std::memory_order_relaxed);
    due = true;
  }
  head_told_ = reader_.head();
  if (due) os::ring_event(peer_bell_);
}

// The half of who goes to sleep: says so in asleep and room_wanted, and after the fence looks for frames and room. The other
// half is tell_peer().
bool RingTransport::arm() {
  if (outgoing_.waiting) push();
  writer_.publish();
  wants_room_ = wants_room_ || outgoing_.waiting;  // once the kernel lets us, if that is what it waits for
  auto& inbound = reader_.header();
  inbound.reader_cpu.store(static_cast<std::uint32_t>(os::current_cpu() + 1), std::memory_order_relaxed);
  inbound.reader_asleep.store(1, std::memory_order_relaxed);
  const std::uint64_t wanted = wants_room_ && !busy() ? room_wanted() : 0;
  if (wanted != 0) writer_.header().room_wanted.store(wanted, std::memory_order_relaxed);
  armed_for_room_ = wanted != 0;
  armed_ = true;
  std::atomic_thread_fence(std::memory_order_seq_cst);
  ring_bell_if_due();
  const bool room_came = wanted != 0 && writer_.room_came(wanted);
  if (room_came) wants_room_ = false;
  if (!gone_ && !room_came && !reader_.has_more()) return true;
  disarm();
  return false;
}

void RingTransport::disarm() {
  if (!armed_) return;
  armed_ = false;
  reader_.header().reader_asleep.store(0, std::memory_order_relaxed);
  if (armed_for_room_) writer_.header().room_wanted.store(0, std::memory_order_relaxed);
}

// For room that turns out to be wanted after arm(), by an owner who sends over a link that he has armed: the same in small. If
// the room has come meanwhile nobody else would wake him.
void RingTransport::ask_for_room() {
  const std::uint64_t wanted = room_wanted();
  writer_.header().room_wanted.store(wanted, std::memory_order_relaxed);
  armed_for_room_ = true;
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (writer_.room_came(wanted)) os::ring_event(own_bell_);
}

// Where the peer has to have read to for us to get on. Descriptors that the socket refused go when it has taken all that is
// there.
std::uint64_t RingTransport::room_wanted() const {
  return outgoing_.descriptors.empty() ? writer_.room_wanted() : std::max<std::uint64_t>(writer_.published(), 1);
}

bool RingTransport::peer_on_other_cpu() const {
  const auto peer = writer_.header().reader_cpu.load(std::memory_order_relaxed);
  return peer != 0 && peer != static_cast<std::uint32_t>(os::current_cpu() + 1);
}

}  // namespace troupe::transport
