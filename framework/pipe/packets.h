#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "os/descriptor.h"

namespace troupe::pipe {

// What carries the records of a pipe that goes over sockets instead of rings: each is one packet, with its tag in front. A packet is
// there as a whole or not at all, whoever is killed.
//
// Threads: any; sending and receiving of records only under the lock of that direction.

// One for each end. The kernel keeps about so many bytes each way, within what it allows (net.core.wmem_max).
std::pair<os::Descriptor, os::Descriptor> make_sockets(std::size_t capacity);

// Larger ones would need memory in one piece, which a kernel may not have.
inline constexpr std::size_t kPacketRecordMax = std::size_t{64} << 10;

// Waits until the kernel has room. False when nobody holds the other end any more. Throws SystemError when the kernel has no memory.
[[nodiscard]] bool send_packet(int socket, std::span<const std::byte> front, std::span<const std::byte> bytes, std::uint16_t tag);

struct Packet {
  enum class State { record, nudge, nothing, ended };
  State state;
  std::uint16_t tag = 0;
  std::span<const std::byte> bytes = {};  // in the buffer
};
inline constexpr std::size_t kPacketFront = sizeof(std::uint16_t);
// Does not wait. Throws ProtocolError for one that is larger than the buffer.
[[nodiscard]] Packet receive_packet(int socket, std::span<std::byte> buffer);

// Has who waits at the other end look again whether a sender still holds the lock. If there is no room for that, he has packets to
// receive, and looks after them.
void nudge(int socket);

// Whoever uses the other end finds the end of the file behind what was sent, and cannot send.
void shut(int socket);

}  // namespace troupe::pipe
