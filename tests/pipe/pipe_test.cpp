#include <troupe/errors.h>

#include <chrono>
#include <memory>
#include <numeric>
#include <random>
#include <thread>

#include "pipe_support.h"
#include "ring/ring.h"
#include "ring/ring_writer.h"
#include "support/catch.h"
#include "support/leftovers.h"

using namespace std::chrono_literals;
using namespace troupe;
using namespace pipe_test;

namespace {

// Over rings and over sockets.
PipeShape either(PipeShape shape) {
  shape.over_sockets = GENERATE(false, true);
  return shape;
}

}  // namespace

TEST_CASE("frames go both ways, in order, whole, also those larger than the ring") {
  const test::Leftovers leftovers;
  const PipeMemory memory(either(kSmall));
  End a = memory.end(Side::first, 0), b = memory.end(Side::second, 0);
  std::thread echo([&] {
    Frame frame;
    while (b.receive(frame) == End::Received::frame && b.send(frame.bytes, frame.attached)) {
    }
  });
  for (const std::size_t size : {0, 1, 7, 8, 127, 128, 129, 500, 511, 512, 513, 4000, 100'000}) {
    std::vector<std::byte> bytes(size);
    for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i * 7 + size);
    REQUIRE(a.send(bytes, 3));
    Frame back;
    REQUIRE(a.receive(back) == End::Received::frame);
    CHECK(back.bytes == bytes);
    CHECK(back.attached == 3);
  }
  memory.end_gone(Side::first);
  echo.join();
}

TEST_CASE("what is small and has room goes at once, once a thread has sent and received for a while") {
  PipeMemory memory;
  auto a = memory.end(Side::first, 0), b = memory.end(Side::second, 1);
  std::vector<std::byte> got(frame_size(12));
  CHECK_FALSE(a.send_at_once(frame(12)));
  CHECK_FALSE(b.receive_at_once(got));
  practise(a, b);
  CHECK_FALSE(b.receive_at_once(got));
  CHECK(a.send_at_once(frame(12)));
  SECTION("as any other frame") {
    CHECK(receive(b) == 12);
    CHECK_FALSE(a.send_at_once(frame(14)));  // it goes in pieces
    send(a, 12), send(a, 15), send(a, 13);
    CHECK(b.receive_at_once(got));
    CHECK(got == frame(12));
    got.resize(frame_size(15));
    CHECK_FALSE(b.receive_at_once(got));  // something is attached
    CHECK(receive(b) == 15);
    CHECK_FALSE(b.receive_at_once(got));  // it is of another size
    CHECK(receive(b) == 13);
    send(a, 14);
    CHECK_FALSE(b.receive_at_once(got));
    CHECK(receive(b) == 14);
    CHECK_FALSE(b.ready());
  }
  SECTION("as long as there is room") {
    unsigned sent = 1;
    while (a.send_at_once(frame(12))) ++sent;
    CHECK(sent > 1);
    unsigned received = 0;
    for (; b.receive_at_once(got); ++received) REQUIRE(got == frame(12));
    CHECK(received == sent);
  }
  SECTION("but over the end of the ring") {
    REQUIRE(b.receive_at_once(got));
    unsigned not_sent = 0, not_received = 0;
    for (unsigned i = 0; i < 100; ++i) {
      if (!a.send_at_once(frame(12))) ++not_sent, send(a, 12);
      if (b.receive_at_once(got)) continue;
      ++not_received;
      REQUIRE(receive(b) == 12);
    }
    CHECK(not_sent > 0);
    CHECK(not_sent < 50);
    CHECK(not_received == not_sent);
  }
  SECTION("until another one takes the lock") {
    auto c = memory.end(Side::first, 2), d = memory.end(Side::second, 3);
    send(c, 13);
    CHECK(receive(d) == 12);
    CHECK_FALSE(a.send_at_once(frame(12)));
    CHECK_FALSE(b.receive_at_once(got));
    CHECK(receive(b) == 13);
  }
  SECTION("until nobody can receive") {
    memory.end_gone(Side::second);
    CHECK_FALSE(a.send_at_once(frame(12)));
    CHECK_FALSE(a.send(frame(12)));
  }
  SECTION("until this process has found the memory overwritten, whatever is written to the lock then") {
    auto& way = pipe::header_of(memory.bytes()).ways[0];
    auto& word = *reinterpret_cast<std::atomic<std::uint32_t>*>(&way.send_lock);
    const std::uint32_t kept = word.exchange(0);
    auto& header = *ring::Ring(pipe::ring_of(memory.bytes(), Side::first)).header;
    header.magic = 1, header.tail += 8;
    std::thread([&] { CHECK_THROWS_AS(a.send(frame(12)), ProtocolError); }).join();
    word = kept;
    CHECK_FALSE(a.send_at_once(frame(12)));
    CHECK_THROWS_AS(a.send(frame(12)), ProtocolError);
  }
  SECTION("until the memory is found overwritten") {
    pipe::break_for_good(pipe::header_of(memory.bytes()), -1);
    CHECK_FALSE(a.send_at_once(frame(12)));
    CHECK_FALSE(b.receive_at_once(got));
    CHECK_THROWS_AS(a.send(frame(12)), ProtocolError);
    CHECK_THROWS_AS(receive(b), ProtocolError);
  }
}

TEST_CASE("a pipe of one direction") {
  const PipeMemory memory(either({.ring_capacity = 1024, .duplex = false}));
  End a = memory.end(Side::first, 0), b = memory.end(Side::second, 0);
  CHECK(a.receives());
  CHECK_FALSE(a.sends());
  CHECK(b.sends());
  CHECK_FALSE(b.receives());
  send(b, 1);
  CHECK(receive(a) == 1u);
}

TEST_CASE("poll and receive wait as long as they were told") {
  const PipeMemory memory(either(kSmall));
  End a = memory.end(Side::first, 0), b = memory.end(Side::second, 0);
  Frame frame;
  CHECK_FALSE(a.poll(Clock::time_point::min()));
  CHECK_FALSE(a.poll(Clock::now() + 1ms));
  CHECK(a.receive(frame, Clock::now() + 1ms) == End::Received::late);
  CHECK(a.receive(frame, Clock::time_point::min()) == End::Received::late);
  std::thread late([&] { send(b, 4); });
  CHECK(a.poll(Clock::time_point::max()));
  late.join();
  CHECK(receive(a) == 4u);
}

TEST_CASE("what was sent before the end is received, then the end; and nothing can be sent there") {
  const PipeMemory memory(either(kSmall));
  End a = memory.end(Side::first, 0), b = memory.end(Side::second, 0);
  send(b, 1), send(b, 2);
  memory.end_gone(Side::second);
  CHECK(receive(a) == 1u);
  CHECK(a.poll(Clock::time_point::min()));
  CHECK(receive(a) == 2u);
  Frame frame;
  CHECK(a.poll(Clock::time_point::max()));
  CHECK(a.receive(frame) == End::Received::ended);
  CHECK(a.receive(frame) == End::Received::ended);
  CHECK_FALSE(a.send(frame.bytes));
}

TEST_CASE("those who are blocked hear of the other end's death") {
  const PipeMemory memory(either(kSmall));
  End a = memory.end(Side::first, 0);
  std::thread receiver([&] {
    Frame frame;
    CHECK(a.receive(frame) == End::Received::ended);
  });
  std::thread sender([&] {
    while (a.send(frame(3))) {
    }
  });
  std::thread large([&] { CHECK_FALSE(a.send(std::vector<std::byte>(100'000))); });
  memory.end_gone(Side::second);
  receiver.join(), sender.join(), large.join();
}

TEST_CASE("processes and threads that share an end take turns, and each frame comes once") {
  const PipeMemory memory(either({.ring_capacity = 1024, .duplex = false}));
  constexpr unsigned kSenders = 3, kReceivers = 3, kEach = 2000;
  std::vector<std::thread> threads;
  std::vector<std::vector<unsigned>> got(kReceivers);
  std::vector<unsigned> sums(kSenders);
  for (unsigned sender = 0; sender < kSenders; ++sender) {
    threads.emplace_back([&, sender] {
      End end = memory.end(Side::second, sender / 2);  // two of one process, one of another
      for (unsigned i = 0; i < kEach; ++i) {
        // Now and then one in pieces.
        std::vector<std::uint32_t> words(i % 50 == 0 ? 400 : 4, sender * kEach + i);
        REQUIRE(end.send(std::as_bytes(std::span(words))));
      }
    });
  }
  for (unsigned receiver = 0; receiver < kReceivers; ++receiver) {
    threads.emplace_back([&, receiver] {
      End end = memory.end(Side::first, receiver / 2);
      Frame frame;
      while (end.receive(frame) == End::Received::frame) {
        std::vector<std::uint32_t> words(frame.bytes.size() / 4);
        std::memcpy(words.data(), frame.bytes.data(), frame.bytes.size());
        if (words.empty() || std::ranges::any_of(words, [&](auto word) { return word != words[0]; }))
          throw std::logic_error("torn");
        got[receiver].push_back(words[0]);
      }
    });
  }
  for (unsigned i = 0; i < kSenders; ++i) threads[i].join();
  memory.end_gone(Side::second);
  for (unsigned i = kSenders; i < threads.size(); ++i) threads[i].join();
  std::vector<unsigned> all;
  for (const auto& some : got) {
    // Of one sender, each receiver sees a rising order.
    for (unsigned sender = 0; sender < kSenders; ++sender) {
      std::vector<unsigned> of_sender;
      std::ranges::copy_if(some, std::back_inserter(of_sender), [&](unsigned value) { return value / kEach == sender; });
      CHECK(std::ranges::is_sorted(of_sender));
    }
    all.insert(all.end(), some.begin(), some.end());
  }
  std::ranges::sort(all);
  std::vector<unsigned> expected(kSenders * kEach);
  std::iota(expected.begin(), expected.end(), 0u);
  CHECK(all == expected);
}

TEST_CASE("one end passes from one process to another between any two frames") {
  const PipeMemory memory(either(kSmall));
  End first = memory.end(Side::first, 0), second = memory.end(Side::first, 1);
  End to_first = memory.end(Side::second, 0), to_second = memory.end(Side::second, 1);
  unsigned sent = 0, received = 0;
  for (unsigned round = 0; round < 200; ++round) {
    for (unsigned i = 0; i < 1 + round % 2; ++i) send(round % 3 == 0 ? first : second, sent++ % 250);
    while (const auto number = receive(round % 5 < 2 ? to_first : to_second)) REQUIRE(*number == received++ % 250);
    REQUIRE(received == sent);
  }
}

TEST_CASE("over sockets, pieces whose sender has died are not waited for, and the next frame comes") {
  auto shape = kSmall;
  shape.over_sockets = true;
  const PipeMemory memory(shape);
  constexpr shared::Slot kDead = 7;
  End heir = memory.end(Side::first, 0), b = memory.end(Side::second, 0);
  for (unsigned round = 0; round < 20; ++round) {
    shared::KeptLock::User dead(pipe::header_of(memory.bytes()).ways[pipe::index(Side::first)].send_lock, kDead);
    static_cast<void>(dead.lock_until(Clock::time_point::max()));
    const std::uint64_t size = 1000;
    constexpr auto kFirst = static_cast<std::uint16_t>(pipe::Part::first);
    REQUIRE(pipe::send_packet(memory.socket(Side::first), std::as_bytes(std::span(&size, 1)), frame(1), kFirst));
    Frame got;
    auto received = End::Received::frame;
    std::thread receiver([&] { received = b.receive(got, Clock::time_point::min()); });
    pipe::recover(memory.bytes(), Side::first, kDead, memory.socket(Side::first));
    receiver.join();
    CHECK(received == End::Received::late);
    send(heir, round);
    CHECK(receive(b, Clock::time_point::max()) == round);
  }
}

namespace {

// So many pieces of a frame of three that fit.
void send_pieces(const PipeMemory& memory, shared::KeptLock::User& lock, unsigned pieces) {
  const shared::Held held(lock, Clock::time_point::max());
  ring::RingWriter ring(pipe::ring_of(memory.bytes(), Side::first));
  const std::uint64_t size = 3 * 96;
  for (unsigned i = 0; i < pieces; ++i) {
    std::byte* room = ring.claim(i == 0 ? 104 : 96);
    REQUIRE(room != nullptr);
    if (i == 0) std::memcpy(room, &size, sizeof size);
    ring.commit(i == 0 ? 104 : 96, static_cast<std::uint16_t>(i == 0 ? pipe::Part::first : pipe::Part::more));
    ring.publish();
  }
}

}  // namespace

TEST_CASE("poll says what can be received, whatever pieces the dead have left in front") {
  const PipeMemory memory;
  End heir = memory.end(Side::first, 0), b = memory.end(Side::second, 0);
  shared::KeptLock::User dead(pipe::header_of(memory.bytes()).ways[pipe::index(Side::first)].send_lock, 7);
  const unsigned before = GENERATE(0u, 1u, 2u, 3u);  // so that they lie across the end of the ring, too
  for (unsigned i = 0; i < before; ++i) send(heir, i), receive(b);
  for (const unsigned pieces : {1u, 2u}) {
    send_pieces(memory, dead, pieces);
    CHECK_FALSE(b.poll(Clock::time_point::min()));
    CHECK_FALSE(b.poll(Clock::now() + 1ms));
  }
  Frame got;
  SECTION("a frame behind them") {
    send(heir, 1);
    CHECK(b.poll(Clock::time_point::min()));
    CHECK(receive(b) == 1u);
  }
  SECTION("one for which they leave no room") {
    std::thread sender([&] { send(heir, 2); });
    CHECK(b.poll(Clock::time_point::max()));
    CHECK(receive(b) == 2u);
    sender.join();
  }
  SECTION("nothing") {
    CHECK(b.receive(got, Clock::time_point::min()) == End::Received::late);
    send_pieces(memory, dead, 3);
    CHECK(b.poll(Clock::time_point::min()));
    CHECK(b.receive(got, Clock::time_point::min()) == End::Received::frame);
    CHECK(got.bytes.size() == 3 * 96);
  }
  SECTION("the end of the file") {
    memory.end_gone(Side::first);
    CHECK(b.poll(Clock::time_point::min()));
    CHECK(b.receive(got, Clock::time_point::min()) == End::Received::ended);
  }
}

TEST_CASE("over sockets, what is no packet of ours poisons an end") {
  auto shape = kSmall;
  shape.over_sockets = true;
  const std::vector<std::byte> large(300);
  using Wrong = std::pair<std::size_t, pipe::Part>;
  for (const auto& [size, part] :
       {Wrong{300, pipe::Part::whole}, Wrong{4, pipe::Part::first}, Wrong{16, pipe::Part::first}, Wrong{16, pipe::Part::block}}) {
    const PipeMemory memory(shape);
    End a = memory.end(Side::first, 0), b = memory.end(Side::second, 0);
    REQUIRE(pipe::send_packet(memory.socket(Side::first), {}, std::span(large).first(size), static_cast<std::uint16_t>(part)));
    Frame frame;
    CHECK_THROWS_AS(b.receive(frame, Clock::time_point::min()), ProtocolError);
    CHECK_THROWS_AS(b.send(large), ProtocolError);
  }
  const PipeMemory memory(shape);
  CHECK_THROWS_AS(End(memory.bytes(), Side::first, 0), ProtocolError);
}

TEST_CASE("memory that is no pipe is refused, and what breaks the rules poisons an end") {
  const PipeMemory memory;
  CHECK_THROWS_AS(End(memory.bytes().first(100), Side::first, 0), ProtocolError);
  CHECK_THROWS_AS(End(memory.bytes().first(memory.bytes().size() - 64), Side::first, 0), ProtocolError);
  End a(memory.bytes(), Side::first, 0), b(memory.bytes(), Side::second, 0);
  send(b, 1);
  auto& tail = ring::Ring(pipe::ring_of(memory.bytes(), Side::second)).header->tail;
  tail = tail + 4096;
  Frame frame;
  CHECK_THROWS_AS(a.receive(frame), ProtocolError);
  CHECK_THROWS_AS(a.receive(frame), ProtocolError);
  CHECK_THROWS_AS(a.send(frame.bytes), ProtocolError);
  CHECK_THROWS_AS(b.send(frame.bytes), ProtocolError);
}

TEST_CASE("whatever the other side writes into the memory, a receiver gets frames, nothing, or a ProtocolError") {
  const PipeMemory memory({.ring_capacity = 1024, .duplex = true});
  const auto ring = pipe::ring_of(memory.bytes(), Side::second);
  std::mt19937 random(20'261'121);
  std::size_t frames = 0, refused = 0;
  for (int round = 0; round < 300; ++round) {
    pipe::format(memory.bytes(), {.ring_capacity = 1024, .duplex = true});
    End a(memory.bytes(), Side::first, 0), b(memory.bytes(), Side::second, 0);
    for (int i = 0; i < 20; ++i) {
      if (i % 4 == 0) {
        try {
          if (ring::Ring(ring).header->tail - ring::Ring(ring).header->head < 400) send(b, static_cast<unsigned>(i));
        } catch (const ProtocolError&) {
        }
      }
      const std::size_t at = random() % 3 == 0 ? ring::kLine * (1 + random() % 3) : random() % (ring.size() - 8);
      const std::uint64_t value = random() % 2 == 0 ? random() % 2048 * 8 : (std::uint64_t{random()} << 32 | random());
      std::memcpy(ring.data() + at, &value, sizeof value);
      Frame frame;
      try {
        frames += a.receive(frame, Clock::time_point::min()) == End::Received::frame ? 1 : 0;
      } catch (const ProtocolError&) {
        ++refused;
      }
    }
  }
  CHECK(frames > 0);
  CHECK(refused > 0);
}
