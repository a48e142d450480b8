#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "os/descriptor.h"
#include "transport/transport.h"

namespace troupe::transport {

enum class Kind : std::uint8_t { ring, pipe };

struct LinkOptions {
  Kind kind = Kind::ring;
  std::size_t ring_bytes = std::size_t{256} << 10;     // of shared memory each way; a power of two
  std::size_t frame_size_max = std::size_t{64} << 20;  // larger frames are refused on both sides
};

// A new link: our end, ready for use (what we send before the other side has joined waits for it), and the descriptors with
// which one other process can join_link(). Throws SystemError.
struct NewLink {
  std::unique_ptr<Transport> ours;
  std::vector<os::Descriptor> theirs;
};
NewLink make_link(const LinkOptions& options = {});

// The other end. Throws ProtocolError if the descriptors do not describe a link of that kind.
std::unique_ptr<Transport> join_link(const LinkOptions& options, std::vector<os::Descriptor> theirs);

// Both ends of a link within one process.
std::pair<std::unique_ptr<Transport>, std::unique_ptr<Transport>> make_loopback(const LinkOptions& options = {});

}  // namespace troupe::transport
