#include <troupe/errors.h>

#include <cstring>
#include <stdexcept>
#include <string>
#include <thread>

#include "ring/memory.h"
#include "ring/ring_reader.h"
#include "ring/ring_writer.h"
#include "support/catch.h"

using namespace troupe;
using namespace troupe::ring;
using troupe::test::RingMemory;

namespace {

bool put(RingWriter& writer, std::string_view text, std::uint16_t tag = 0) {
  std::byte* frame = writer.claim_unzeroed(text.size());
  if (!frame) return false;
  std::memcpy(frame, text.data(), text.size());
  writer.commit(text.size(), tag);
  return true;
}

std::string get(RingReader& reader) {
  const Frame* frame = reader.peek();
  if (!frame) return "nothing";
  std::string text(reinterpret_cast<const char*>(frame->data), frame->size);
  reader.release();
  return text;
}

}  // namespace

TEST_CASE("a reader sees what was published, in order, with its tag") {
  RingMemory memory(1024);
  RingWriter writer(memory.bytes());
  RingReader reader(memory.bytes());
  CHECK_FALSE(reader.peek());
  REQUIRE(put(writer, "one", 7));
  REQUIRE(put(writer, ""));
  CHECK_FALSE(reader.peek());  // committed, not published
  CHECK(writer.publish());
  CHECK_FALSE(writer.publish());
  REQUIRE(reader.peek());
  CHECK(reader.peek()->tag == 7);
  CHECK(get(reader) == "one");
  CHECK(get(reader).empty());
  CHECK(get(reader) == "nothing");
}

TEST_CASE("frames of all sizes go round a small ring") {
  RingMemory memory(256);
  RingWriter writer(memory.bytes());
  RingReader reader(memory.bytes());
  CHECK(writer.frame_size_max() == 120);
  for (int i = 0; i < 3000; ++i) {
    const std::string text(static_cast<std::size_t>(i * 31) % 121, static_cast<char>('a' + i % 26));
    REQUIRE(put(writer, text));
    writer.publish();
    REQUIRE(get(reader) == text);
  }
}

TEST_CASE("frames go in and out here and now as long as they lie in one piece, have no tag, and are of the size expected") {
  RingMemory memory(256);
  RingWriter writer(memory.bytes());
  RingReader reader(memory.bytes());
  const auto put_here = [&](std::string_view text) {
    std::byte* frame = writer.room_here(text.size());
    if (!frame) return false;
    std::memcpy(frame, text.data(), text.size());
    writer.publish_here(text.size());
    return true;
  };
  const auto get_here = [&](std::size_t size) -> std::string {
    const std::byte* frame = reader.frame_here(size);
    if (!frame) return "nothing";
    std::string text(reinterpret_cast<const char*>(frame), size);
    reader.release_here(size);
    return text;
  };
  CHECK(get_here(0) == "nothing");
  REQUIRE(put_here(""));
  CHECK(get_here(1) == "nothing");
  CHECK(get_here(0).empty());
  REQUIRE(put(writer, "tagged", 1));
  REQUIRE(put_here("other"));  // shows what was committed before, too
  CHECK(get_here(6) == "nothing");
  CHECK(get(reader) == "tagged");
  CHECK(get_here(5) == "other");
  CHECK_FALSE(writer.room_here(4096));
  unsigned sent = 0, received = 0;
  for (unsigned round = 0; round < 300; ++round) {
    const auto text = [](unsigned i) { return std::string(20, static_cast<char>('a' + i % 26)); };
    while (put_here(text(sent))) ++sent;
    const bool fits = put(writer, text(sent));  // over the end of the ring, where it may
    writer.publish();
    if (fits) ++sent;
    for (const unsigned keep = round % 3; received + keep < sent; ++received) {
      std::string got = get_here(20);
      if (got == "nothing") got = get(reader);
      REQUIRE(got == text(received));
    }
  }
  CHECK(sent > 1000);
}

TEST_CASE("a full ring publishes what it holds and says what room it waits for") {
  RingMemory memory(256);
  RingWriter writer(memory.bytes());
  RingReader reader(memory.bytes());
  int count = 0;
  while (put(writer, std::string(24, 'x'))) ++count;
  CHECK(count == 8);
  CHECK_FALSE(writer.room_came(writer.room_wanted()));
  for (int i = 0; i < 4; ++i) {
    CHECK_FALSE(writer.room_came(writer.room_wanted()));
    CHECK(get(reader) == std::string(24, 'x'));  // nobody called publish()
  }
  CHECK(writer.room_came(writer.room_wanted()));  // half is free
  CHECK(put(writer, "y"));
}

TEST_CASE("a frame too large for half of the ring is refused") {
  RingMemory memory(256);
  RingWriter writer(memory.bytes());
  CHECK(writer.claim(120));
  CHECK_THROWS_AS(writer.claim(121), std::length_error);
  CHECK_THROWS_AS(writer.claim(~std::size_t{0}), std::length_error);
}

TEST_CASE("ends join a ring that is in use where it stands") {
  RingMemory memory(256);
  {
    RingWriter writer(memory.bytes());
    REQUIRE(put(writer, "one"));
    REQUIRE(put(writer, "two"));
    writer.publish();
    RingReader reader(memory.bytes());
    CHECK(get(reader) == "one");
  }
  RingWriter writer(memory.bytes());
  RingReader reader(memory.bytes());
  REQUIRE(put(writer, "three"));
  writer.publish();
  CHECK(get(reader) == "two");
  CHECK(get(reader) == "three");
}

TEST_CASE("memory that is no ring is refused") {
  RingMemory memory(256);
  const auto refused = [&](std::span<std::byte> bytes) {
    CHECK_THROWS_AS(RingWriter(bytes), ProtocolError);
    CHECK_THROWS_AS(RingReader(bytes), ProtocolError);
  };
  refused(memory.bytes().first(100));
  refused(memory.bytes().first(sizeof(RingHeader) + 128));
  SECTION("magic") { memory.header().magic ^= 1; }
  SECTION("version") { ++memory.header().version; }
  SECTION("capacity") { memory.header().capacity = 512; }
  refused(memory.bytes());
}

TEST_CASE("a writer whose reader breaks the rules is poisoned for ever") {
  RingMemory memory(256);
  RingWriter writer(memory.bytes());
  REQUIRE(put(writer, "one"));
  const std::uint64_t lie = GENERATE(4, 264, 1 << 20, std::uint64_t{0} - 8);
  writer.publish();
  memory.header().head = lie;
  const auto fill = [&] {
    while (put(writer, "xyz")) {
    }
  };
  CHECK_THROWS_AS(fill(), ProtocolError);
  memory.header().head = 0;
  CHECK_THROWS_AS(fill(), ProtocolError);
}

TEST_CASE("a reader whose writer breaks the rules is poisoned for ever") {
  RingMemory memory(256);
  RingWriter writer(memory.bytes());
  RingReader reader(memory.bytes());
  REQUIRE(put(writer, "one"));
  REQUIRE(put(writer, "two"));
  writer.publish();
  const std::uint64_t tail = memory.header().tail;
  auto& first_word = memory.word(0);
  SECTION("tail runs ahead") { memory.header().tail = 264; }
  SECTION("tail between frames' places") { memory.header().tail = tail - 1; }
  SECTION("tail goes back") {
    CHECK(get(reader) == "one");
    CHECK(get(reader) == "two");
    memory.header().tail = 8;
  }
  SECTION("a record beyond the tail") { first_word = record_word(25, 0, RecordKind::frame); }
  SECTION("a record beyond everything") { first_word = record_word(0xffff'ffff, 0, RecordKind::frame); }
  SECTION("a record of no kind") { first_word = 3; }
  SECTION("a pad that does not reach the end") { first_word = record_word(8, 0, RecordKind::pad); }
  SECTION("a pad without a frame behind it") {
    memory.header().tail = 256;
    first_word = record_word(248, 0, RecordKind::pad);
  }
  CHECK_THROWS_AS(reader.peek(), ProtocolError);
  memory.header().tail = tail;
  first_word = record_word(3, 0, RecordKind::frame);
  CHECK_THROWS_AS(reader.peek(), ProtocolError);
}

TEST_CASE("the size of a frame is read once") {
  RingMemory memory(256);
  RingWriter writer(memory.bytes());
  RingReader reader(memory.bytes());
  REQUIRE(put(writer, "one"));
  REQUIRE(put(writer, "two"));
  writer.publish();
  REQUIRE(reader.peek());
  memory.word(0) = record_word(200, 0, RecordKind::frame);
  CHECK(reader.peek()->size == 3);
  CHECK(get(reader) == "one");
  CHECK(get(reader) == "two");
}

TEST_CASE("two threads pass frames through a ring") {
  RingMemory memory(1024);
  constexpr std::uint32_t kFrames = 20'000;
  std::thread thread([&] {
    RingWriter writer(memory.bytes());
    for (std::uint32_t i = 0; i < kFrames; ++i) {
      std::byte* frame;
      while (!(frame = writer.claim(4 + i % 100))) std::this_thread::yield();
      std::memcpy(frame, &i, sizeof i);
      writer.commit(4 + i % 100);
      if (i % 3 == 0) writer.publish();
    }
    writer.publish();
  });
  RingReader reader(memory.bytes());
  std::uint32_t wrong = 0;
  for (std::uint32_t i = 0; i < kFrames; ++i) {
    const Frame* frame;
    while (!(frame = reader.peek())) std::this_thread::yield();
    wrong += frame->size != 4 + i % 100 || std::memcmp(frame->data, &i, sizeof i) != 0;
    reader.release();
  }
  thread.join();
  CHECK(wrong == 0);
}
