#include "support/in_flight.h"

#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <stdexcept>
#include <vector>

#include "os/check_call.h"
#include "os/socket.h"

namespace troupe::test {

namespace {

constexpr rlim_t kFew = 64;

}  // namespace

void be_somebody() {
  const rlimit few{kFew, kFew};
  os::check_call(::setrlimit(RLIMIT_NOFILE, &few), "setrlimit");
  if (::geteuid() != 0) return;
  const auto somebody = static_cast<uid_t>(1'000'000 + ::getpid());
  os::check_call(::setgid(somebody), "setgid");
  os::check_call(::setuid(somebody), "setuid");
}

InFlight::InFlight() : sockets_(os::socket_pair(os::SocketKind::packets)) {
  const std::byte byte{};
  std::array<int, os::kPacketDescriptorsMax> many{};
  many.fill(sockets_.first.get());
  while (true) {
    switch (os::send_packet(sockets_.first.get(), {&byte, 1}, many)) {
      case os::SendResult::sent: break;
      case os::SendResult::busy: return;
      default: throw std::runtime_error("a socket that takes fewer descriptors than its user may send");
    }
  }
}

void InFlight::land() {
  std::byte byte{};
  while (os::receive_packet(sockets_.second.get(), {&byte, 1}).state == os::ReceivedPacket::State::packet) {
  }
}

}  // namespace troupe::test
