#include "transport/pipe_transport.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <stdexcept>
#include <string>
#include <utility>

#include <troupe/errors.h>

#include "base/check.h"
#include "os/socket.h"
#include "transport/pipe_layout.h"

namespace troupe::transport {
namespace {

constexpr std::size_t kSendAt = 64 << 10;       // so much waiting is sent without flush()
constexpr std::size_t kWaitingMax = 256 << 10;  // so much waiting is full; one frame of any size may come on top
constexpr std::size_t kReadAtOnce = 64 << 10;
constexpr std::size_t kDescriptorsAheadMax =
    2 * Transport::kDescriptorsMax;  // one frame's, and the next one's that came with its end

}  // namespace

PipeTransport::~PipeTransport() { flush(); }

std::byte* PipeTransport::claim(std::size_t size) {
  std::byte* frame = claim_unzeroed(size);
  if (frame) std::memset(frame, 0, size);
  return frame;
}

std::byte* PipeTransport::claim_unzeroed(std::size_t size) {
  if (size > frame_size_max_) {
    throw std::length_error("a frame of " + std::to_string(size) + " bytes is over the link's limit of " +
                            std::to_string(frame_size_max_));
  }
  if (outgoing_.filled().size() > kWaitingMax) {
    flush();
    wants_room_ = outgoing_.filled().size() > kWaitingMax;
    if (wants_room_) return nullptr;
  }
  claim_ = outgoing_.reserve(sizeof(PipeFrameHeader) + padded(size)).data();
  claim_size_ = size;
  return claim_ + sizeof(PipeFrameHeader);
}

void PipeTransport::commit(std::size_t size) {
  TROUPE_CHECK(claim_ && size <= claim_size_, "commit() takes at most what claim() gave, once");
  std::byte* const frame = std::exchange(claim_, nullptr);
  auto descriptors = std::exchange(attached_, {});
  if (gone_) return;  // goes nowhere
  const PipeFrameHeader header{static_cast<std::uint32_t>(size), static_cast<std::uint16_t>(descriptors.size()),
                               kPipeFrameMagic};
  std::memcpy(frame, &header, sizeof header);
  std::memset(frame + sizeof header + size, 0, padded(size) - size);
  if (!descriptors.empty()) parcels_.push_back({sent_ + outgoing_.filled().size(), std::move(descriptors)});
  outgoing_.append(sizeof header + padded(size));
  if (outgoing_.filled().size() >= kSendAt) flush();
}

void PipeTransport::attach(std::vector<os::Descriptor> descriptors) {
  if (attached_.size() + descriptors.size() > kDescriptorsMax)
    throw std::length_error("more descriptors than go with one frame");
  for (auto& descriptor : descriptors) attached_.push_back(std::move(descriptor));
}

// What one system call may send: up to the next bytes that descriptors go with.
std::span<std::byte> PipeTransport::next_run() const {
  const auto waiting = outgoing_.filled();
  for (const auto& parcel : parcels_) {
    if (parcel.position != sent_) return waiting.first(parcel.position - sent_);
  }
  return waiting;
}

bool PipeTransport::flush() {
  while (!gone_ && !outgoing_.filled().empty()) {
    std::array<int, kDescriptorsMax> fds{};
    std::size_t count = 0;
    if (!parcels_.empty() && parcels_.front().position == sent_) {
      for (const auto& descriptor : parcels_.front().descriptors) fds[count++] = descriptor.get();
    }
    const auto sent = os::send_bytes(socket_.get(), next_run(), std::span(fds).first(count));
    retry_at_ = sent.result == os::SendResult::busy ? Clock::now() + os::kBusyDelay : Clock::time_point::max();
    if (sent.result == os::SendResult::full || sent.result == os::SendResult::busy) return false;
    if (sent.result == os::SendResult::gone) break;
    if (count > 0) parcels_.pop_front();
    sent_ += sent.size;
    outgoing_.consume(sent.size);
  }
  if (!outgoing_.filled().empty()) drop_outgoing();
  return true;
}

void PipeTransport::drop_outgoing() {
  gone_ = true;
  wants_room_ = false;
  retry_at_ = Clock::time_point::max();
  outgoing_.consume(outgoing_.filled().size());
  parcels_.clear();
}

std::optional<std::span<const std::byte>> PipeTransport::peek() {
  while (!find_frame() && fill()) {
  }
  if (poisoned_) throw ProtocolError(poisoned_);
  if (!open_) return {};
  return incoming_.filled().subspan(sizeof(PipeFrameHeader), *open_);
}

void PipeTransport::release() {
  if (!open_) return;
  incoming_.consume(sizeof(PipeFrameHeader) + padded(*open_));
  open_.reset();
  descriptors_.clear();
}

// Opens the frame at the beginning of what came, if all of it is there.
bool PipeTransport::find_frame() {
  if (open_) return true;
  if (poisoned_) return false;
  const auto came = incoming_.filled();
  PipeFrameHeader header;
  if (came.size() < sizeof header) return false;
  std::memcpy(&header, came.data(), sizeof header);
  if (header.magic != kPipeFrameMagic) return fail("the link's peer sent something that is not a frame");
  if (header.size > frame_size_max_) return fail("the link's peer announced a frame over the limit");
  if (header.descriptors > descriptors_came_.size()) return fail("the link's peer announced descriptors that did not come");
  if (came.size() - sizeof header < padded(header.size)) return false;
  const auto last = descriptors_came_.begin() + header.descriptors;
  descriptors_.assign(std::move_iterator(descriptors_came_.begin()), std::move_iterator(last));
  descriptors_came_.erase(descriptors_came_.begin(), last);
  open_ = header.size;
  return true;
}

// Receives more, if there is more now. Memory grows with what really came, never by what was announced.
bool PipeTransport::fill() {
  if (ended_ || poisoned_) return false;
  auto received = os::receive_packet(socket_.get(), incoming_.reserve(kReadAtOnce));
  drained_ = received.state == os::ReceivedPacket::State::nothing;
  ended_ = received.state == os::ReceivedPacket::State::closed || (drained_ && gone_);
  if (received.state != os::ReceivedPacket::State::packet) return false;
  incoming_.append(received.size);
  for (auto& descriptor : received.descriptors) descriptors_came_.push_back(std::move(descriptor));
  if (received.descriptors_lost) return fail("descriptors that belong to a frame were lost: this process may not open more");
  if (descriptors_came_.size() > kDescriptorsAheadMax) return fail("the link's peer sent descriptors that belong to no frame");
  return true;
}

bool PipeTransport::fail(const char* why) {
  poisoned_ = why;
  hang_up();
  return false;
}

void PipeTransport::hang_up() { drop_outgoing(); }

bool PipeTransport::arm() {
  flush();
  const bool room_came = wants_room_ && outgoing_.filled().size() <= kWaitingMax;
  if (room_came) wants_room_ = false;
  if (room_came || find_frame() || (!drained_ && fill())) return false;
  return !ended_ && !poisoned_;
}

}  // namespace troupe::transport
