#include "pipe/packets.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>

#include <troupe/errors.h>

#include "os/check_call.h"
#include "os/epoll.h"
#include "os/socket.h"

namespace troupe::pipe {
namespace {

// Distinguished from records by its size.
constexpr std::byte kNudge{1};

iovec part(std::span<const std::byte> bytes) { return {const_cast<std::byte*>(bytes.data()), bytes.size()}; }

}  // namespace

std::pair<os::Descriptor, os::Descriptor> make_sockets(std::size_t capacity) {
  auto ends = os::socket_pair(os::SocketKind::packets);
  const int size = static_cast<int>(std::min<std::size_t>(capacity, std::numeric_limits<int>::max() / 2));
  for (const auto* end : {&ends.first, &ends.second})
    os::check_call(::setsockopt(end->get(), SOL_SOCKET, SO_SNDBUF, &size, sizeof size), "the buffer of a pipe's socket");
  return ends;
}

bool send_packet(int socket, std::span<const std::byte> front, std::span<const std::byte> bytes, std::uint16_t tag) {
  std::array parts{part(std::as_bytes(std::span(&tag, 1))), part(front), part(bytes)};
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  while (true) {
    if (os::retry_interrupted([&] { return ::sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT); }) >= 0) return true;
    if (errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN) return false;
    if (errno != EAGAIN) throw SystemError(errno, "a pipe's socket");
    os::wait_for(socket, POLLOUT, Clock::time_point::max());
  }
}

Packet receive_packet(int socket, std::span<std::byte> buffer) {
  const auto receive = [&] {
    return os::retry_interrupted([&] { return ::recv(socket, buffer.data(), buffer.size(), MSG_DONTWAIT | MSG_TRUNC); });
  };
  auto size = receive();
  if (size < 0 && errno == ECONNRESET) size = receive();  // the other end did not receive all: so it is told once, before the rest
  if (size < 0 && errno == EAGAIN) return {.state = Packet::State::nothing};
  if (size < 0 && errno != ECONNRESET) throw SystemError(errno, "a pipe's socket");
  if (size <= 0) return {.state = Packet::State::ended};
  const auto bytes = static_cast<std::size_t>(size);
  if (bytes < kPacketFront) return {.state = Packet::State::nudge};
  if (bytes > buffer.size()) throw ProtocolError("a pipe's peer sent a packet that is too large");
  Packet packet{.state = Packet::State::record, .tag = 0, .bytes = buffer.first(bytes).subspan(kPacketFront)};
  std::memcpy(&packet.tag, buffer.data(), sizeof packet.tag);
  return packet;
}

void nudge(int socket) {
  os::retry_interrupted([&] { return ::send(socket, &kNudge, sizeof kNudge, MSG_NOSIGNAL | MSG_DONTWAIT); });
}

void shut(int socket) { ::shutdown(socket, SHUT_RDWR); }

}  // namespace troupe::pipe
