// A peer that writes anything into what it shares with us costs a ProtocolError at worst, memory in proportion to what it sent,
// and no waiting.
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <random>

#include <troupe/errors.h>

#include "os/affinity.h"
#include "os/event.h"
#include "os/memory.h"
#include "os/proc.h"
#include "os/socket.h"
#include "ring/ring_writer.h"
#include "support/catch.h"
#include "support/child.h"
#include "support/in_flight.h"
#include "transport/pipe_layout.h"
#include "transport/pipe_transport.h"
#include "transport/subjects.h"

using namespace troupe;
using namespace troupe::test;

namespace {

// A ring link whose other end is in the test's hands.
struct Attacked {
  NewLink link;
  os::Mapping memory;

  explicit Attacked(std::size_t ring_bytes = 4096)
      : link(make_link(options_of(Subject::ring, ring_bytes))),
        memory(link.theirs[0], 2 * ring::ring_memory_size(ring_bytes)) {}

  [[nodiscard]] std::span<std::byte> ring_to_us() const { return memory.bytes().last(memory.bytes().size() / 2); }
  Transport& us() { return *link.ours; }
};

// A frame as a forger would commit it.
void forge(Attacked& attacked, std::uint16_t tag, std::span<const std::byte> bytes) {
  ring::RingWriter writer(attacked.ring_to_us());
  std::byte* frame = writer.claim_unzeroed(bytes.size());
  REQUIRE(frame);
  std::copy(bytes.begin(), bytes.end(), frame);
  writer.commit(bytes.size(), tag);
  writer.publish();
}

void forge_first_piece(Attacked& attacked, std::uint64_t announced, std::size_t really) {
  Bytes bytes(sizeof announced + really);
  std::memcpy(bytes.data(), &announced, sizeof announced);
  forge(attacked, 0x300, bytes);
}

void check_poisoned(Transport& link) {
  CHECK_THROWS_AS(link.peek(), ProtocolError);
  CHECK_THROWS_AS(link.peek(), ProtocolError);
  CHECK_FALSE(link.arm());
  CHECK_FALSE(link.closed());
  CHECK(try_send(link, numbered(1, 100)));  // goes nowhere
  CHECK(link.flush());
}

struct AttackedPipe {
  os::Descriptor theirs;
  PipeTransport us;

  AttackedPipe() : AttackedPipe(os::socket_pair(os::SocketKind::stream)) {}
  explicit AttackedPipe(std::pair<os::Descriptor, os::Descriptor> ends)
      : theirs(std::move(ends.first)), us(std::move(ends.second), 1 << 20) {}

  void send(std::span<const std::byte> bytes, std::span<const int> descriptors = {}) {
    REQUIRE(os::send_bytes(theirs.get(), bytes, descriptors).size == bytes.size());
  }
  void send_header(PipeFrameHeader header, std::span<const int> descriptors = {}) {
    send(std::as_bytes(std::span(&header, 1)), descriptors);
  }
};

}  // namespace

TEST_CASE("a ring link whose peer breaks the rules of pieces is poisoned") {
  Attacked attacked;
  const Bytes some(16);
  SECTION("an unknown tag") { forge(attacked, 0x8000, some); }
  SECTION("a piece that is not the first") { forge(attacked, 0x100, some); }
  SECTION("a first piece too short to say the size") { forge(attacked, 0x300, Bytes(4)); }
  SECTION("a size over the limit") { forge_first_piece(attacked, (1 << 20) + 1, 16); }
  SECTION("an absurd size") { forge_first_piece(attacked, ~std::uint64_t{0}, 16); }
  SECTION("more than was announced") { forge_first_piece(attacked, 8, 16); }
  SECTION("less than was announced") {
    forge_first_piece(attacked, 100, 16);
    forge(attacked, 0x500, some);
  }
  SECTION("two first pieces") {
    forge_first_piece(attacked, 100, 16);
    forge_first_piece(attacked, 100, 16);
  }
  SECTION("a frame amid pieces") {
    forge_first_piece(attacked, 100, 16);
    forge(attacked, 0, some);
  }
  SECTION("descriptors amid pieces") {
    forge_first_piece(attacked, 100, 16);
    forge(attacked, 0x101, some);
  }
  SECTION("descriptors that were not sent") { forge(attacked, 2, some); }
  SECTION("descriptors of another number") {
    const std::uint64_t number = 1;
    const int fds[] = {0};
    os::send_packet(attacked.link.theirs[3].get(), std::as_bytes(std::span(&number, 1)), fds);
    forge(attacked, 1, some);
  }
  SECTION("fewer descriptors than announced") {
    const std::uint64_t number = 0;
    const int fds[] = {0};
    os::send_packet(attacked.link.theirs[3].get(), std::as_bytes(std::span(&number, 1)), fds);
    forge(attacked, 2, some);
  }
  check_poisoned(attacked.us());
}

TEST_CASE("a ring link is poisoned by what its peer does to the index that it reads with") {
  Attacked attacked;
  auto& theirs = *reinterpret_cast<ring::RingHeader*>(attacked.memory.bytes().data());
  theirs.head = 1 << 20;
  for (int i = 0; i < 200; ++i) {
    CHECK(try_send(attacked.us(), numbered(1, 100)));
    attacked.us().flush();
  }
  check_poisoned(attacked.us());
}

TEST_CASE("the ends of a ring link survive 20,000 random corruptions") {
  const auto before = os::open_descriptors();
  std::minstd_rand random(3);
  std::uint32_t poisoned = 0;
  for (int run = 0; run < 2'000; ++run) {
    Attacked attacked;
    auto other = join_link(options_of(Subject::ring), std::move(attacked.link.theirs));
    try {
      for (int step = 0; step < 10; ++step) {
        const std::size_t words = attacked.memory.bytes().size() / 8;
        auto& word = reinterpret_cast<std::uint64_t*>(attacked.memory.bytes().data())[random() % words];
        for (int i = 0; i < 4; ++i) {
          (void)try_send(attacked.us(), numbered(1, random() % 5'000));
          (void)try_send(*other, numbered(1, random() % 300));
        }
        word = random() % 2 == 0 ? word ^ std::uint64_t{1} << random() % 64 : random();
        if (random() % 3 == 0) *reinterpret_cast<std::uint64_t*>(attacked.ring_to_us().data() + 128 * (1 + random() % 4)) += 8;
        attacked.us().flush();
        other->flush();
        for (int i = 0; i < 5; ++i) (void)try_receive(attacked.us());
        for (int i = 0; i < 5; ++i) (void)try_receive(*other);
        if (attacked.us().arm()) attacked.us().disarm();
      }
    } catch (const ProtocolError&) {
      ++poisoned;
    }
  }
  CHECK(poisoned > 100);
  CHECK(os::open_descriptors() == before);
}

TEST_CASE("a pipe link whose peer breaks the rules is poisoned") {
  const auto before = os::open_descriptors();
  {
    AttackedPipe attacked;
    const int fds[] = {0, 1};
    SECTION("no frame") { attacked.send(numbered(1, 64)); }
    SECTION("a size over the limit") { attacked.send_header({(1 << 20) + 1, 0, kPipeFrameMagic}); }
    SECTION("an absurd size") { attacked.send_header({0xffff'ffff, 0, kPipeFrameMagic}); }
    SECTION("descriptors that were not sent") { attacked.send_header({8, 3, kPipeFrameMagic}, fds); }
    SECTION("descriptors that belong to no frame") {
      const Bytes byte(1);
      attacked.send_header({1 << 20, 0, kPipeFrameMagic});
      for (int i = 0; i < 40; ++i) attacked.send(byte, fds);
    }
    check_poisoned(attacked.us);
  }
  CHECK(os::open_descriptors() == before);
}

TEST_CASE("a pipe link takes frames that come byte by byte") {
  AttackedPipe attacked;
  const auto bytes = numbered(1, 13);
  Bytes stream(sizeof(PipeFrameHeader) + padded(bytes.size()));
  const PipeFrameHeader header{13, 0, kPipeFrameMagic};
  std::memcpy(stream.data(), &header, sizeof header);
  std::copy(bytes.begin(), bytes.end(), stream.begin() + sizeof header);
  for (int round = 0; round < 3; ++round) {
    for (std::size_t i = 0; i < stream.size(); ++i) {
      CHECK_FALSE(attacked.us.peek());
      attacked.send(std::span(stream).subspan(i, 1));
    }
    CHECK(try_receive(attacked.us) == bytes);
  }
  attacked.send(std::span(stream).first(9));
  attacked.theirs.reset();
  CHECK_FALSE(attacked.us.peek());
  CHECK(attacked.us.closed());  // half a frame is none
}

TEST_CASE("descriptors that are no link are refused") {
  const auto before = os::open_descriptors();
  {
    const auto ring = options_of(Subject::ring);
    const auto pipe = options_of(Subject::pipe);
    CHECK_THROWS_AS(join_link(ring, {}), ProtocolError);
    CHECK_THROWS_AS(join_link(pipe, {}), ProtocolError);
    CHECK_THROWS_AS(join_link({.ring_bytes = 3}, std::move(make_link(ring).theirs)), ProtocolError);
    CHECK_THROWS_AS(join_link(pipe, std::move(make_link(ring).theirs)), ProtocolError);
    for (std::size_t bad = 0; bad < 4; ++bad) {
      auto link = make_link(ring);
      int fds[2];
      REQUIRE(::pipe2(fds, O_CLOEXEC) == 0);
      os::Descriptor other(fds[0]);
      link.theirs[bad] = os::Descriptor(fds[1]);
      CHECK_THROWS_AS(join_link(ring, std::move(link.theirs)), ProtocolError);
    }
    auto link = make_link(ring);
    link.theirs[0] = os::make_shared_memory("not-a-ring", 2 * ring::ring_memory_size(4096));
    CHECK_THROWS_AS(join_link(ring, std::move(link.theirs)), ProtocolError);
    CHECK_THROWS_AS(make_link({.ring_bytes = 5000}), ConfigError);
    CHECK_THROWS_AS(make_link({.ring_bytes = 64}), ConfigError);
  }
  CHECK(os::open_descriptors() == before);
}

TEST_CASE("nobody is woken who is awake") {
  auto ends = ends_of(Subject::ring);
  os::Epoll epoll;
  std::array<epoll_event, 1> room;
  epoll.add(ends.right->descriptor(), EPOLLIN | EPOLLET, 0);
  const auto rung = [&] { return !epoll.wait(room, Clock::now()).empty(); };
  const auto send_one = [&] {
    REQUIRE(try_send(*ends.left, numbered(1, 10)));
    ends.left->flush();
    REQUIRE(try_receive(*ends.right));
    ends.right->flush();
  };
  send_one();
  CHECK_FALSE(rung());
  REQUIRE(ends.right->arm());
  CHECK_FALSE(rung());
  send_one();
  CHECK(rung());
  send_one();
  CHECK_FALSE(rung());  // told once
  ends.right->disarm();
  send_one();
  CHECK_FALSE(rung());
}

TEST_CASE("each side knows whether the other runs on the same CPU") {
  const auto cpus = os::allowed_cpus();
  auto ends = ends_of(Subject::ring);
  os::set_allowed_cpus({cpus.front()});
  REQUIRE(ends.right->arm());
  CHECK_FALSE(ends.left->peer_on_other_cpu());
  if (cpus.size() > 1) {
    os::set_allowed_cpus({cpus.back()});
    CHECK(ends.left->peer_on_other_cpu());
  }
  os::set_allowed_cpus(cpus);
}

TEST_CASE("descriptors that the kernel does not let go yet go later, and nobody spins or waits for ever") {
  const auto subject = GENERATE(Subject::ring, Subject::pipe);
  Child child([&] {
    be_somebody();
    const auto ends = ends_of(subject);
    Waiter waiter(*ends.left);
    const Bytes frame = numbered(1, 64);
    InFlight in_flight;
    std::vector<os::Descriptor> gift;
    gift.emplace_back(::dup(0));
    ends.left->attach(std::move(gift));
    if (!try_send(*ends.left, frame) || ends.left->flush()) return 1;
    if (ends.left->retry_at() == Clock::time_point::max()) return 2;
    if (!ends.left->arm()) return 3;  // it may sleep: the peer will not free anything by reading this link
    ends.left->disarm();
    if (!waiter.wait() || ends.left->flush() || ends.right->peek()) return 4;
    in_flight.land();
    while (!ends.left->flush()) waiter.wait();
    if (ends.left->retry_at() != Clock::time_point::max()) return 5;
    if (!ends.right->peek() || ends.right->take_descriptors().size() != 1) return 6;
    return try_receive(*ends.right) == frame ? 0 : 7;
  });
  CHECK(child.wait() == 0);
}
