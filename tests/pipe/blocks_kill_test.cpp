// Blocks are left to others, and their memory is free, wherever one who makes, sends, receives or holds them is killed.
#include "blocks_support.h"
#include "pipe/recover.h"
#include "play.h"
#include "support/catch.h"
#include "support/leftovers.h"

using namespace troupe;
using namespace troupe::test;
using namespace pipe_test;

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
