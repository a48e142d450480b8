#include "os/socket.h"

#include <unistd.h>

#include <array>
#include <cstring>

#include "support/catch.h"
#include "support/child.h"
#include "support/in_flight.h"

using troupe::os::ReceivedPacket;
using troupe::os::SendResult;
using troupe::os::SocketKind;

namespace {

std::span<const std::byte> bytes_of(const char* text) { return std::as_bytes(std::span(text, std::strlen(text))); }

}  // namespace

TEST_CASE("packets arrive whole, one by one, with their descriptors") {
  auto [a, b] = troupe::os::socket_pair(SocketKind::packets);
  auto [end, other_end] = troupe::os::socket_pair(SocketKind::stream);
  const std::array fds{end.get()};
  REQUIRE(troupe::os::send_packet(a.get(), bytes_of("one"), fds) == SendResult::sent);
  REQUIRE(troupe::os::send_packet(a.get(), bytes_of("three")) == SendResult::sent);

  std::array<std::byte, 16> buffer;
  auto first = troupe::os::receive_packet(b.get(), buffer);
  CHECK(first.size == 3);
  REQUIRE(first.descriptors.size() == 1);
  CHECK(::write(first.descriptors[0].get(), "x", 1) == 1);
  char c = 0;
  CHECK(::read(other_end.get(), &c, 1) == 1);
  CHECK(troupe::os::receive_packet(b.get(), buffer).size == 5);
  CHECK(troupe::os::receive_packet(b.get(), buffer).state == ReceivedPacket::State::nothing);
}

TEST_CASE("what was sent before the end closed is received before the end is told") {
  auto [a, b] = troupe::os::socket_pair(SocketKind::packets);
  REQUIRE(troupe::os::send_packet(a.get(), bytes_of("last words")) == SendResult::sent);
  a.reset();
  std::array<std::byte, 16> buffer;
  CHECK(troupe::os::receive_packet(b.get(), buffer).state == ReceivedPacket::State::packet);
  CHECK(troupe::os::receive_packet(b.get(), buffer).state == ReceivedPacket::State::closed);
  CHECK(troupe::os::send_packet(b.get(), bytes_of("x")) == SendResult::gone);
}

TEST_CASE("what an end sent that closed without having read all is received, too") {
  const auto kind = GENERATE(SocketKind::packets, SocketKind::stream);
  auto [a, b] = troupe::os::socket_pair(kind);
  REQUIRE(troupe::os::send_packet(b.get(), bytes_of("unread")) == SendResult::sent);
  REQUIRE(troupe::os::send_packet(a.get(), bytes_of("last words")) == SendResult::sent);
  a.reset();
  std::array<std::byte, 16> buffer;
  CHECK(troupe::os::receive_packet(b.get(), buffer).size == 10);
  CHECK(troupe::os::receive_packet(b.get(), buffer).state == ReceivedPacket::State::closed);
}

TEST_CASE("a full socket and a packet larger than the buffer are told, not waited for") {
  auto [a, b] = troupe::os::socket_pair(SocketKind::packets);
  int sent = 0;
  while (troupe::os::send_packet(a.get(), bytes_of("some text")) == SendResult::sent) ++sent;
  CHECK(sent > 10);
  std::array<std::byte, 4> small;
  CHECK(troupe::os::receive_packet(b.get(), small).truncated);
  CHECK(troupe::os::send_packet(a.get(), bytes_of("x")) == SendResult::sent);
}

TEST_CASE("that a user has too many descriptors under way is told apart from a full socket") {
  troupe::test::Child child([] {
    troupe::test::be_somebody();
    auto [a, b] = troupe::os::socket_pair(SocketKind::packets);
    const std::array fds{a.get()};
    troupe::test::InFlight in_flight;
    if (troupe::os::send_packet(a.get(), bytes_of("x"), fds) != SendResult::busy) return 1;
    if (troupe::os::send_packet(a.get(), bytes_of("x")) != SendResult::sent) return 2;
    in_flight.land();
    return troupe::os::send_packet(a.get(), bytes_of("x"), fds) == SendResult::sent ? 0 : 3;
  });
  CHECK(child.wait() == 0);
}
