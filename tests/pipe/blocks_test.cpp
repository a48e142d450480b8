// Blocks: handed over and not copied, there as long as anybody holds them, free once the last holder let go or ended.
#include "pipe/blocks.h"

#include <troupe/errors.h>

#include <atomic>
#include <thread>

#include "blocks_support.h"
#include "pipe/recover.h"
#include "support/catch.h"

using namespace troupe;
using namespace pipe_test;

TEST_CASE("a block arrives where it was built, and is free when all have let go of it") {
  const PipeMemory memory(kShape);
  Party a(memory.bytes(), Side::first, 0), b(memory.bytes(), Side::second, 1), c(memory.bytes(), Side::second, 2);
  auto block = make(a, 7);
  REQUIRE(a.end.send(block));
  REQUIRE(a.end.send(block));
  auto first = receive_block(b), second = receive_block(c);
  CHECK(look(first) == 7u);
  CHECK(first.bytes().data() == block.bytes().data());
  CHECK(a.blocks.used() == 1);
  block = {};
  first = {};
  CHECK(look(second) == 7u);
  CHECK(a.blocks.used() == 1);
  SECTION("back again") {
    REQUIRE(c.end.send(second));
    second = {};
    CHECK(a.blocks.used() == 1);
    CHECK(look(receive_block(a)) == 7u);
  }
  SECTION("to itself, twice") {
    REQUIRE(c.end.send(second));
    REQUIRE(c.end.send(second));
    auto one = receive_block(a), other = receive_block(a);
    second = {}, one = {};
    CHECK(look(other) == 7u);
  }
  second = {};
  CHECK(a.blocks.used() == 0);
}

TEST_CASE("blocks and other frames keep their order") {
  const PipeMemory memory(kShape);
  Party a(memory.bytes(), Side::first, 0), b(memory.bytes(), Side::second, 1);
  for (unsigned number = 0; number < 200; number += 2) {
    pipe_test::send(a.end, number);
    send(a, number + 1);
    CHECK(pipe_test::receive(b.end) == number);
    CHECK(look(receive_block(b)) == number + 1);
  }
  CHECK(a.blocks.used() == 0);
}

TEST_CASE("who wants a block waits until there is room, at most as long as he was told") {
  const PipeMemory memory(kShape);
  Party a(memory.bytes(), Side::first, 0), b(memory.bytes(), Side::second, 1);
  CHECK_THROWS_AS(a.blocks.make(kPages * pipe::kBlockPage + 1, false), std::length_error);
  auto all = a.blocks.make(kPages * pipe::kBlockPage, false);
  CHECK_FALSE(b.blocks.make(1, false, kNow));
  CHECK_FALSE(b.blocks.make(1, false, Clock::now() + std::chrono::milliseconds(1)));
  std::thread waits([&] { CHECK(b.blocks.make(1, false)); });
  all.reset();
  waits.join();
  std::vector<BlockHold> many;
  for (std::size_t i = 0; i < kPages; ++i) many.push_back(std::move(*a.blocks.make(1, false, kNow)));
  CHECK_FALSE(b.blocks.make(1, false, kNow));
  many.erase(many.begin() + 3, many.begin() + 5);
  CHECK(b.blocks.make(2 * pipe::kBlockPage, false, kNow));
}

TEST_CASE("memory of free blocks is used again, and zeroed if so wished") {
  const PipeMemory memory(kShape);
  Party a(memory.bytes(), Side::first, 0);
  const auto* place = make(a, 1).bytes().data();
  auto again = a.blocks.make(size_of(1), true);
  CHECK(again->bytes().data() == place);
  CHECK(std::ranges::all_of(again->bytes(), [](auto byte) { return byte == std::byte{}; }));
}

TEST_CASE("blocks on the way to an end that nobody holds any more are free") {
  const PipeMemory memory(kShape);
  Party a(memory.bytes(), Side::first, 0);
  auto kept = make(a, 3);
  send(a, 4), send(a, 5);
  REQUIRE(a.end.send(kept));
  CHECK(a.blocks.used() == 3);
  pipe::end_gone(memory.bytes(), Side::second);
  CHECK(a.blocks.used() == 1);
  CHECK_FALSE(a.end.send(kept));
  kept = {};
  CHECK(a.blocks.used() == 0);
}

TEST_CASE("what does not fit together is refused") {
  const PipeMemory memory(kShape), other(kShape), plain;
  Party a(memory.bytes(), Side::first, 0), b(memory.bytes(), Side::second, 1), c(other.bytes(), Side::first, 0);
  CHECK_THROWS_AS(c.end.send(make(a, 1)), std::logic_error);
  CHECK_THROWS_AS(Blocks(plain.bytes(), nullptr, 0), ProtocolError);
  send(a, 1);
  pipe::block_table(memory.bytes())->records[0].offset = std::uint64_t{1} << 40;
  CHECK_THROWS_AS(receive_block(b), ProtocolError);
}

TEST_CASE("threads and processes that pass blocks on all the time free none under its reader, and all in the end") {
  const PipeMemory memory(kShape);
  constexpr unsigned kEach = 2000;
  Party a(memory.bytes(), Side::first, 0), b(memory.bytes(), Side::second, 1), c(memory.bytes(), Side::second, 2);
  std::vector<std::thread> threads;
  for (unsigned sender = 0; sender < 2; ++sender) {
    threads.emplace_back([&] {
      for (unsigned i = 0; i < kEach; ++i) {
        auto block = a.blocks.make(size_of(i % 250), false);
        std::ranges::fill(block->bytes(), static_cast<std::byte>(i % 250));
        REQUIRE(a.end.send(*block));
        if (i % 7 == 0) REQUIRE(a.end.send(*block));
      }
    });
  }
  std::atomic<unsigned> got{0};
  for (Party* receiver : {&b, &b, &c}) {
    threads.emplace_back([&, receiver] {
      BlockHold before;
      while (BlockHold block = receive_block(*receiver, Clock::time_point::max())) {
        if (!look(block)) throw std::logic_error("nothing");
        if (before && !look(before)) throw std::logic_error("nothing");
        before = std::move(block);
        ++got;
      }
    });
  }
  threads[0].join(), threads[1].join();
  pipe::end_gone(memory.bytes(), Side::first);
  for (unsigned i = 2; i < threads.size(); ++i) threads[i].join();
  CHECK(got == 2 * (kEach + (kEach + 6) / 7));
  CHECK(a.blocks.used() == 0);
}
