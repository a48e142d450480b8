#include "os/socket.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "os/check_call.h"

namespace troupe::os {

namespace {

union ControlBuffer {
  cmsghdr align;
  char bytes[CMSG_SPACE(sizeof(int) * kPacketDescriptorsMax)];
};

std::vector<Descriptor> take_descriptors(msghdr& message) {
  std::vector<Descriptor> descriptors;
  for (auto* header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd;
      std::memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
      descriptors.emplace_back(fd);
    }
  }
  return descriptors;
}

}  // namespace

std::pair<Descriptor, Descriptor> socket_pair(SocketKind kind) {
  int fds[2];
  const int type = kind == SocketKind::stream ? SOCK_STREAM : SOCK_SEQPACKET;
  check_call(::socketpair(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), "socketpair");
  return {Descriptor(fds[0]), Descriptor(fds[1])};
}

std::optional<SocketKind> socket_kind(const Descriptor& socket) {
  const auto option = [&](int name) {
    int value = -1;
    socklen_t size = sizeof value;
    return ::getsockopt(socket.get(), SOL_SOCKET, name, &value, &size) == 0 ? value : -1;
  };
  if (option(SO_DOMAIN) != AF_UNIX) return {};
  const int type = option(SO_TYPE);
  if (type == SOCK_STREAM) return SocketKind::stream;
  if (type == SOCK_SEQPACKET) return SocketKind::packets;
  return {};
}

SentBytes send_bytes(int socket, std::span<const std::byte> packet, std::span<const int> descriptors) {
  TROUPE_CHECK(descriptors.size() <= kPacketDescriptorsMax, "split them over several packets");
  iovec part{const_cast<std::byte*>(packet.data()), packet.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  ControlBuffer control;
  if (!descriptors.empty()) {
    std::memset(&control, 0, sizeof control);
    message.msg_control = control.bytes;
    message.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
    auto* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(descriptors.size_bytes());
    std::memcpy(CMSG_DATA(header), descriptors.data(), descriptors.size_bytes());
  }
  const auto sent = retry_interrupted([&] { return ::sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT); });
  if (sent >= 0) return {SendResult::sent, static_cast<std::size_t>(sent)};
  if (errno == EAGAIN) return {SendResult::full};
  if (errno == ENOBUFS || errno == ENOMEM || errno == ETOOMANYREFS) return {SendResult::busy};
  if (errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN) return {SendResult::gone};
  throw SystemError(errno, "sendmsg");
}

SendResult send_packet(int socket, std::span<const std::byte> packet, std::span<const int> descriptors) {
  return send_bytes(socket, packet, descriptors).result;
}

ReceivedPacket receive_packet(int socket, std::span<std::byte> buffer) {
  iovec part{buffer.data(), buffer.size()};
  ControlBuffer control;
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.bytes;
  message.msg_controllen = sizeof control.bytes;
  const auto receive = [&] { return retry_interrupted([&] { return ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT); }); };
  auto size = receive();
  // That the peer went without having read all comes first, once; after that, what it said.
  if (size < 0 && errno == ECONNRESET) size = receive();

  ReceivedPacket received;
  if (size < 0 && errno == EAGAIN) return received;
  if (size < 0 && errno != ECONNRESET) throw SystemError(errno, "recvmsg");
  received.state = size > 0 ? ReceivedPacket::State::packet : ReceivedPacket::State::closed;
  if (size <= 0) return received;
  received.size = static_cast<std::size_t>(size);
  received.truncated = (message.msg_flags & MSG_TRUNC) != 0;
  received.descriptors_lost = (message.msg_flags & MSG_CTRUNC) != 0;
  received.descriptors = take_descriptors(message);
  return received;
}

}  // namespace troupe::os
