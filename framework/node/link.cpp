#include "node/link.h"

#include <troupe/errors.h>

#include <algorithm>
#include <stdexcept>

namespace troupe::node {

Link::Link(Peer& peer, std::uint64_t id, std::unique_ptr<transport::Transport> transport)
    : peer_(&peer),
      id_(id),
      transport_(std::move(transport)),
      ring_(dynamic_cast<transport::RingTransport*>(transport_.get())) {}

void Link::keep(KeptFrame frame, bool control) {
  if (frame.bytes().size() > transport_->frame_size_max()) throw std::length_error("message larger than the link takes");
  owed_bytes_ += frame.bytes().size();
  ++owed_frames_;
  (control ? control_ : frames_).push_back(std::move(frame));
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
    const auto bytes = queue.front().bytes();
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
