#pragma once

#include <sys/socket.h>

#include <cstddef>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include <troupe/duration.h>

#include "os/descriptor.h"

namespace troupe::os {

enum class SocketKind { stream, packets };  // packets: in order, whole, reliable (SOCK_SEQPACKET)

// Two connected Unix sockets, non-blocking and closed on exec.
std::pair<Descriptor, Descriptor> socket_pair(SocketKind kind);

// What kind of Unix socket it is, or nothing if it is anything else.
std::optional<SocketKind> socket_kind(const Descriptor& socket);

enum class SendResult { sent, full, busy, gone };

// After `busy`: nobody tells when it has passed, so one asks again after this time.
inline constexpr Duration kBusyDelay = std::chrono::milliseconds(5);

// More descriptors than this never go along with one packet.
inline constexpr std::size_t kPacketDescriptorsMax = 16;

// Sends one packet, never waits, raises no SIGPIPE. `full`: try again when the socket is writable; `busy`: the kernel has no memory, or
// this user has too many descriptors under way in whatever sockets, so this one being writable says nothing; `gone`: nobody will read it.
// Throws SystemError when the kernel refuses for another reason (EMSGSIZE: larger than its buffer).
SendResult send_packet(int socket, std::span<const std::byte> packet, std::span<const int> descriptors = {});

struct SentBytes {
  SendResult result = SendResult::sent;
  std::size_t size = 0;  // of what was sent; may be less than was given
};
// The same for a stream: sends as much as goes now. The descriptors go along with the first byte.
SentBytes send_bytes(int socket, std::span<const std::byte> bytes, std::span<const int> descriptors = {});

struct ReceivedPacket {
  enum class State { packet, nothing, closed };
  State state = State::nothing;
  std::size_t size = 0;                 // of the packet in the buffer
  bool truncated = false;               // the buffer was too small: parts are lost
  bool descriptors_lost = false;        // too many for one packet, or this process may not open more
  std::vector<Descriptor> descriptors;  // closed on exec
};

// Receives one packet into `buffer`, or what a stream has at most up to the next descriptors; never waits.
ReceivedPacket receive_packet(int socket, std::span<std::byte> buffer);

}  // namespace troupe::os
