// Blocks: handed over and not copied, there as long as anybody holds them, free once the last holder let go, ended or was killed.
#include <troupe/errors.h>

#include <thread>

#include "pipe/blocks.h"
#include "play.h"
#include "support/catch.h"
#include "support/leftovers.h"

using namespace troupe;
using namespace troupe::test;
using namespace pipe_test;
using pipe::BlockHold;
using pipe::Blocks;

namespace {

constexpr std::size_t kPages = 16;
constexpr PipeShape kShape{.ring_capacity = 512, .duplex = true, .block_bytes = kPages * pipe::kBlockPage};
constexpr Clock::time_point kNow = Clock::time_point::min();

// One process's view. Slots at an end and among the users of the blocks are not the same.
struct Party {
  Party(Memory memory, Side side, shared::Slot slot) : blocks(memory, nullptr, slot + kBlockSlots), end(memory, side, slot, &blocks) {}
  Blocks blocks;
  End end;
};

std::size_t size_of(unsigned number) { return number % 3 == 2 ? pipe::kBlockPage + 1 : 100 + number; }

BlockHold make(Party& party, unsigned number) {
  auto block = party.blocks.make(size_of(number), false, kNow);
  if (!block) throw std::runtime_error("no block is free");
  std::ranges::fill(block->bytes(), static_cast<std::byte>(number));
  return std::move(*block);
}

void send(Party& party, unsigned number) {
  if (!party.end.send(make(party, number))) throw std::runtime_error("nobody can receive");
}

// Throws for one whose bytes are not what its first one says.
std::optional<unsigned> look(const BlockHold& block) {
  if (!block) return {};
  const auto number = static_cast<unsigned>(block.bytes()[0]);
  if (block.bytes().size() != size_of(number) || !std::ranges::all_of(block.bytes(), [&](auto byte) { return byte == static_cast<std::byte>(number); }))
    throw std::runtime_error("a block was freed under its reader");
  return number;
}

BlockHold receive_block(Party& party, Clock::time_point deadline = kNow) {
  Frame frame;
  if (party.end.receive(frame, deadline) != End::Received::frame) return {};
  return std::move(frame.block);
}

}  // namespace

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

namespace {

constexpr shared::Slot kSurvivor = kFirstSurvivor;

void recover(Memory memory, Side side) {
  for (int twice = 0; twice < 2; ++twice) pipe::recover_blocks(memory, kVictim + kBlockSlots);
  for (int twice = 0; twice < 2; ++twice) pipe::recover(memory, side, kVictim);
}
void recover_locks_only(Memory memory, Side side) {
  pipe::recover(memory, side, kVictim);
  pipe::block_table(memory)->lock.abandon(kVictim + kBlockSlots);
}

// What comes at both ends is whole, from `least` to `most`; what the helper holds is there; all the rest is free, and usable.
std::string check(Memory memory, std::size_t least, std::size_t most, std::size_t held) try {
  Party b(memory, Side::second, kSurvivor), a(memory, Side::first, kSurvivor);
  std::size_t count = 0;
  for (Party* party : {&a, &b}) {
    while (look(receive_block(*party))) ++count;
  }
  if (count < least || count > most) return std::to_string(count) + " blocks arrived";
  if (b.blocks.used() != held) return std::to_string(b.blocks.used()) + " blocks are used, " + std::to_string(held) + " by somebody";
  if (held == 0 && !b.blocks.make(kPages * pipe::kBlockPage, false, kNow)) return "not all of the area is to be had";
  send(a, 9);
  return look(receive_block(b)) == 9u ? "" : "the pipe is wedged";
} catch (const std::exception& error) {
  return error.what();
}

using RecoverCopy = void (*)(Memory, Side);

Sweep sweep_sender(RecoverCopy how) {
  const PipeMemory memory(kShape);
  Party helper(memory.bytes(), Side::first, kHelper);
  const auto kept = make(helper, 8);
  return look_at_every_change(
      memory.all(),
      [&] {
        Party me(pipe_in(memory.all()), Side::first, kVictim);
        mark();
        for (unsigned i = 0; i < 4; ++i) send(me, i), ++done(memory.all());
        mark();
      },
      [&](Memory copy) {
        how(pipe_in(copy), Side::first);
        return check(pipe_in(copy), done(copy), done(copy) + 1, 1);
      });
}

// It also holds one on while it takes the next, and passes each on to the other side, where nobody takes it.
Sweep sweep_receiver(RecoverCopy how, bool passes_on) {
  const PipeMemory memory(kShape);
  {
    Party helper(memory.bytes(), Side::first, kHelper);
    for (unsigned i = 0; i < 3; ++i) send(helper, i);
  }
  return look_at_every_change(
      memory.all(),
      [&] {
        Party me(pipe_in(memory.all()), Side::second, kVictim);
        BlockHold before;
        mark();
        for (unsigned i = 0; i < 3; ++i) {
          BlockHold block = receive_block(me);
          static_cast<void>(look(block));
          if (passes_on && !me.end.send(block)) throw std::runtime_error("broken");
          before = std::move(block);
          ++done(memory.all());
        }
        before = {};
        mark();
      },
      [&](Memory copy) {
        how(pipe_in(copy), Side::second);
        const std::size_t taken = done(copy);
        return passes_on ? check(pipe_in(copy), 2, 3, 0) : check(pipe_in(copy), taken < 3 ? 2 - taken : 0, 3 - taken, 0);
      });
}

// Killed for real, with others asleep.

constexpr std::size_t kAll = kPages * pipe::kBlockPage;

// A block that takes all the memory.
void send_all(Party& party, Clock::time_point deadline = kNow) {
  auto block = party.blocks.make(kAll, false, deadline);
  if (!block) throw std::runtime_error("not all of the area is to be had");
  if (!party.end.send(*block)) throw std::runtime_error("nobody can receive");
}

std::vector<Scenario> scenarios() {
  const auto receives = [](shared::Slot slot, Side side = Side::second) {
    return [=](const PipeMemory& pipe) {
      Party me(pipe.bytes(), side, slot);
      if (!look(receive_block(me, Clock::time_point::max()))) throw std::runtime_error("the end of the file");
    };
  };
  // They take turns.
  const auto wants_all = [](shared::Slot slot) {
    return [=](const PipeMemory& pipe) { static_cast<void>(Party(pipe.bytes(), Side::first, slot).blocks.make(kAll, false)); };
  };
  const auto gives = [](Side side, unsigned count) {
    return [=](const PipeMemory& pipe) {
      Party helper(pipe.bytes(), side, kHelper);
      for (unsigned i = 0; i < count; ++i) send(helper, i);
    };
  };
  const auto gives_all = [](const PipeMemory& pipe) {
    Party helper(pipe.bytes(), Side::first, kHelper);
    send_all(helper);
  };
  const auto takes_all = [](const PipeMemory& pipe) {
    Party helper(pipe.bytes(), Side::second, kHelper);
    while (receive_block(helper)) {
    }
  };
  const auto receive_and_let_go = [](const PipeMemory& pipe) {
    Party me(pipe.bytes(), Side::second, kVictim);
    mark();
    static_cast<void>(receive_block(me));
    mark();
  };
  std::vector<Scenario> all = {
      {.name = "make a block and send it to sleeping receivers",
       .side = Side::first,
       .victim =
           [](const PipeMemory& pipe) {
             Party me(pipe.bytes(), Side::first, kVictim);
             mark();
             auto block = *me.blocks.make(size_of(4), false, kNow);
             std::ranges::fill(block.bytes(), std::byte{4});
             if (!me.end.send(block)) throw std::runtime_error("nobody can receive");
             block = {};
             mark();
           },
       .survivors = {receives(kSurvivor), receives(kSurvivor + 1)},
       .finish = gives(Side::first, 2)},
      {.name = "receive a block and let go of it while others sleep for its memory",
       .prepare = gives_all,
       .side = Side::second,
       .victim = receive_and_let_go,
       .survivors = {wants_all(kSurvivor), wants_all(kSurvivor + 1)},
       .finish = takes_all},
      {.name = "let go of all the memory, and make a block of it again",
       .side = Side::first,
       .victim =
           [](const PipeMemory& pipe) {
             Party me(pipe.bytes(), Side::first, kVictim);
             auto block = me.blocks.make(kAll, false);
             mark();
             block.reset();
             block = me.blocks.make(kAll, false, kNow);
             mark();
           },
       .survivors = {wants_all(kSurvivor), wants_all(kSurvivor + 1)}},
      {.name = "wait for memory, and be woken",
       .prepare = gives_all,
       .side = Side::first,
       .victim =
           [](const PipeMemory& pipe) {
             Party me(pipe.bytes(), Side::first, kVictim);
             mark();
             send_all(me, Clock::time_point::max());
             mark();
           },
       .survivors = {wants_all(kSurvivor)},
       .victim_sleeps_first = true,
       .meanwhile = takes_all,
       .finish = takes_all},
      {.name = "pass a block on to one who sleeps",
       .prepare = gives(Side::first, 1),
       .side = Side::second,
       .victim =
           [](const PipeMemory& pipe) {
             Party me(pipe.bytes(), Side::second, kVictim);
             mark();
             if (!me.end.send(receive_block(me))) throw std::runtime_error("nobody can receive");
             mark();
           },
       .survivors = {receives(kSurvivor, Side::first)},
       .finish = gives(Side::second, 1)},
      {.name = "the last receiver, with blocks under way that others want the memory of",
       .prepare = gives_all,
       .side = Side::second,
       .victim = receive_and_let_go,
       .survivors = {wants_all(kSurvivor), wants_all(kSurvivor + 1)},
       .last_holder = true},
  };
  for (Scenario& scenario : all) {
    scenario.shape = kShape;
    scenario.check = [last = scenario.last_holder](const PipeMemory& pipe) -> std::string {
      if (!last) return check(pipe.bytes(), 0, 2, 0);
      const Party party(pipe.bytes(), Side::first, kSurvivor);
      return party.blocks.used() == 0 ? "" : "blocks are used that nobody can receive";
    };
  }
  return all;
}

void kill_in_all(std::size_t stride, std::size_t kills_min) {
  check_kills(scenarios(), [=](const Scenario& scenario) { return kill_in(scenario, stride); }, kills_min);
}

}  // namespace

TEST_CASE("at every change of memory, one killed there while it makes and sends blocks leaves no block behind, and none half sent") {
  if (!kStepperWorks) return;
  const OneCpu one_cpu;
  const auto sweep = sweep_sender(recover);
  INFO(sweep.first_failure);
  CHECK(sweep.failures == 0);
  WARN(sweep.points << " states");
  CHECK(sweep.points > 30);
  CHECK(sweep_sender(recover_locks_only).failures > 0);
}

TEST_CASE("at every change of memory, one killed there while it receives, passes on and lets go of blocks leaves none behind") {
  if (!kStepperWorks) return;
  const OneCpu one_cpu;
  for (const bool passes_on : {false, true}) {
    const auto sweep = sweep_receiver(recover, passes_on);
    INFO(sweep.first_failure);
    CHECK(sweep.failures == 0);
    WARN(sweep.points << " states");
    CHECK(sweep.points > 20);
    CHECK(sweep_receiver(recover_locks_only, passes_on).failures > 0);
  }
}

TEST_CASE("killed at hundreds of instructions while it makes, sends, receives and lets go of blocks, it leaves their memory to others") {
  if (!kStepperWorks) return;
  kill_in_all(9, 200);
}

TEST_CASE("killed at every instruction while it makes, sends, receives and lets go of blocks, it leaves their memory to others",
          "[.][soak][kill-sweep]") {
  if (!kStepperWorks) return;
  kill_in_all(1, 2000);
}

TEST_CASE("the sweep finds a recovery that frees no blocks, and one that does not wake those who sleep for them") {
  if (!kStepperWorks) return;
  const Leftovers leftovers;
  const OneCpu one_cpu;
  const Recover locks_only = [](const PipeMemory& pipe, const Scenario& scenario) { recover_locks_only(pipe.bytes(), scenario.side); };
  const Recover wake_nobody = [](const PipeMemory& pipe, const Scenario& scenario) {
    const Memory memory = pipe.bytes();
    const auto copy = os::Mapping::anonymous(memory.size());
    std::ranges::copy(memory, copy.bytes().begin());
    recover(copy.bytes(), scenario.side);
    std::ranges::copy(copy.bytes(), memory.begin());
  };
  for (const Scenario& scenario : scenarios()) {
    INFO(scenario.name);
    if (scenario.last_holder) continue;  // it is its end that is gone
    CHECK(kill_in(scenario, 1, locks_only, true).failures > 0);
    if (scenario.name == "let go of all the memory, and make a block of it again")
      CHECK(kill_in(scenario, 1, wake_nobody, true).failures > 0);
  }
}
