#include "transport/link.h"

#include <troupe/errors.h>

#include "os/event.h"
#include "os/memory.h"
#include "os/socket.h"
#include "transport/pipe_layout.h"
#include "transport/pipe_transport.h"
#include "transport/ring_transport.h"

namespace troupe::transport {
namespace {

constexpr std::size_t kRingBytesMin = 4096;

// What travels to the peer of a ring link, in this order.
enum RingPart : std::size_t { kMemory, kOwnBell, kPeerBell, kSocket, kRingParts };

void check_options(const LinkOptions& options) {
  if (!ring::is_capacity(options.ring_bytes) || options.ring_bytes < kRingBytesMin) {
    throw ConfigError("a link's ring takes a power of two from 4 KiB to 1 GiB, not " + std::to_string(options.ring_bytes) +
                      " bytes");
  }
  if (options.frame_size_max > kPipeFrameSizeMax) throw ConfigError("a link's frames take less than 4 GiB");
}

NewLink make_ring_link(const LinkOptions& options) {
  const std::size_t ring_size = ring::ring_memory_size(options.ring_bytes);
  auto memory = os::make_shared_memory("troupe-link", 2 * ring_size);
  os::Mapping mapping(memory, 2 * ring_size);
  ring::format_ring(mapping.bytes().first(ring_size));
  ring::format_ring(mapping.bytes().last(ring_size));
  auto our_bell = os::make_event();
  auto their_bell = os::make_event();
  auto [our_socket, their_socket] = os::socket_pair(os::SocketKind::packets);

  NewLink link;
  link.theirs.resize(kRingParts);
  link.theirs[kMemory] = std::move(memory);
  link.theirs[kOwnBell] = their_bell.duplicate();
  link.theirs[kPeerBell] = our_bell.duplicate();
  link.theirs[kSocket] = std::move(their_socket);
  link.ours = std::make_unique<RingTransport>(RingTransport::Parts{std::move(mapping), RingTransport::Side::maker,
                                                                   options.frame_size_max, std::move(our_bell),
                                                                   std::move(their_bell), std::move(our_socket)});
  return link;
}

std::unique_ptr<Transport> join_ring_link(const LinkOptions& options, std::vector<os::Descriptor> theirs) {
  if (theirs.size() != kRingParts) throw ProtocolError("a ring link comes as four descriptors");
  const auto size = os::shared_memory_size(theirs[kMemory]);
  if (!size || *size % 2 != 0 || !ring::is_capacity(*size / 2 - sizeof(ring::RingHeader))) {
    throw ProtocolError("the memory of a ring link is not sealed or not of a ring's size");
  }
  if (os::socket_kind(theirs[kSocket]) != os::SocketKind::packets) throw ProtocolError("a ring link's socket is none");
  if (!os::is_event(theirs[kOwnBell]) || !os::is_event(theirs[kPeerBell]))
    throw ProtocolError("a ring link's doorbell is none");
  return std::make_unique<RingTransport>(RingTransport::Parts{os::Mapping(theirs[kMemory], *size), RingTransport::Side::joiner,
                                                              options.frame_size_max, std::move(theirs[kOwnBell]),
                                                              std::move(theirs[kPeerBell]), std::move(theirs[kSocket])});
}

NewLink make_pipe_link(const LinkOptions& options) {
  auto [our_socket, their_socket] = os::socket_pair(os::SocketKind::stream);
  NewLink link;
  link.ours = std::make_unique<PipeTransport>(std::move(our_socket), options.frame_size_max);
  link.theirs.push_back(std::move(their_socket));
  return link;
}

std::unique_ptr<Transport> join_pipe_link(const LinkOptions& options, std::vector<os::Descriptor> theirs) {
  if (theirs.size() != 1) throw ProtocolError("a pipe link comes as one descriptor");
  if (os::socket_kind(theirs[0]) != os::SocketKind::stream) throw ProtocolError("a pipe link comes as a stream socket");
  return std::make_unique<PipeTransport>(std::move(theirs[0]), options.frame_size_max);
}

}  // namespace

NewLink make_link(const LinkOptions& options) {
  check_options(options);
  return options.kind == Kind::ring ? make_ring_link(options) : make_pipe_link(options);
}

std::unique_ptr<Transport> join_link(const LinkOptions& options, std::vector<os::Descriptor> theirs) try {
  check_options(options);
  return options.kind == Kind::ring ? join_ring_link(options, std::move(theirs)) : join_pipe_link(options, std::move(theirs));
} catch (const ConfigError& error) {  // the peer's choice, not ours
  throw ProtocolError(error.what());
}

std::pair<std::unique_ptr<Transport>, std::unique_ptr<Transport>> make_loopback(const LinkOptions& options) {
  std::pair<std::unique_ptr<Transport>, std::unique_ptr<Transport>> ends;
  auto link = make_link(options);
  ends.first = std::move(link.ours);
  ends.second = join_link(options, std::move(link.theirs));
  return ends;
}

}  // namespace troupe::transport
