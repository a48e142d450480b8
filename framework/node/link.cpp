#include "node/link.h"

#include <troupe/errors.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <utility>

namespace troupe::node {

namespace {

constexpr std::size_t kSize = sizeof(std::uint64_t);  // in front of each frame
constexpr std::size_t kQueueMin = std::size_t{16} << 10;
constexpr std::size_t kQueueKept = std::size_t{1} << 20;  // of an empty queue, for the next time

std::size_t room_of(std::size_t size) { return kSize + (size + 7) / 8 * 8; }

}  // namespace

std::byte* FrameQueue::push_back(std::size_t size) {
  if (capacity_ - end_ < room_of(size)) make_room(size);
  std::byte* place = memory_.get() + end_;
  std::memcpy(place, &size, kSize);
  end_ += room_of(size);
  return place + kSize;
}

std::span<const std::byte> FrameQueue::front() const {
  std::size_t size = 0;
  std::memcpy(&size, memory_.get() + begin_, kSize);
  return {memory_.get() + begin_ + kSize, size};
}

void FrameQueue::pop_front() {
  begin_ += room_of(front().size());
  if (begin_ != end_) return;
  begin_ = end_ = 0;
  if (capacity_ > kQueueKept) memory_.reset(), capacity_ = 0;
}

// At the front, where half of it is free already, or in memory twice as large.
void FrameQueue::make_room(std::size_t size) {
  const std::size_t used = end_ - begin_;
  if (begin_ >= used && capacity_ - used >= room_of(size)) {
    std::memcpy(memory_.get(), memory_.get() + begin_, used);
  } else {
    capacity_ = std::max({2 * used, used + room_of(size), kQueueMin});
    auto memory = std::make_unique_for_overwrite<std::byte[]>(capacity_);
    if (used != 0) std::memcpy(memory.get(), memory_.get() + begin_, used);
    memory_ = std::move(memory);
  }
  begin_ = 0;
  end_ = used;
}

Link::Link(Peer& peer, std::uint64_t id, std::unique_ptr<transport::Transport> transport)
    : peer_(&peer),
      id_(id),
      transport_(std::move(transport)),
      ring_(dynamic_cast<transport::RingTransport*>(transport_.get())) {}

std::byte* Link::keep(std::size_t size, bool control) {
  if (size > transport_->frame_size_max()) throw std::length_error("message larger than the link takes");
  std::byte* place = (control ? control_ : frames_).push_back(size);
  owed_bytes_ += size;
  ++owed_frames_;
  return place;
}

bool Link::send(const KeptFrame& frame) {
  if (owing()) return false;
  const auto bytes = frame.bytes();
  std::byte* to = transport_->claim_unzeroed(bytes.size());
  if (!to) return false;
  std::ranges::copy(bytes, to);
  transport_->commit(bytes.size());
  return true;
}

bool Link::readable() {
  try {
    return peek().has_value();
  } catch (const ProtocolError&) {
    return true;
  }
}

bool Link::push() {
  while (owed_frames_ != 0) {
    auto& queue = control_.empty() ? frames_ : control_;
    const auto bytes = queue.front();
    std::byte* to = transport_->claim_unzeroed(bytes.size());
    if (!to) return false;
    std::ranges::copy(bytes, to);
    transport_->commit(bytes.size());
    owed_bytes_ -= bytes.size();
    --owed_frames_;
    queue.pop_front();
  }
  return true;
}

}  // namespace troupe::node
