// Kills a holder of an end at each instruction of what it does: the others go on, see whole frames, in order, and are told the end.
#include <functional>
#include <limits>

#include "os/affinity.h"
#include "os/futex.h"
#include "pipe_support.h"
#include "ring/ring.h"
#include "support/catch.h"
#include "support/leftovers.h"
#include "support/stepper.h"
#include "support/survivors.h"

using namespace troupe;
using namespace troupe::test;
using namespace pipe_test;
using Stop = Stepper::Stop;

namespace {

constexpr shared::Slot kHelper = 0, kVictim = 1, kFirstSurvivor = 2;
constexpr Clock::time_point kNow = Clock::time_point::min();

// What a test begins with: frames that went through already, then some that wait.
struct Start {
  unsigned before;
  unsigned waiting;
};

void begin(const PipeMemory& memory, Start start) {
  End a(memory.bytes(), Side::first, kHelper), b(memory.bytes(), Side::second, kHelper);
  for (unsigned i = 0; i < start.before + start.waiting; ++i) {
    send(a, i);
    if (i < start.before) receive_now(b);
  }
}

// `first` to `last` may come, at least up to `least`, all in order; then others send and receive as if nothing had been; then the end.
std::string check(Memory memory, unsigned first, unsigned least, unsigned last) try {
  End heir(memory, Side::first, kFirstSurvivor), b(memory, Side::second, kFirstSurvivor);
  // Frames that wait, and one of our own that needs as much room as there is.
  unsigned next = first;
  while (const auto number = receive(b)) {
    if (*number != next++) return "a frame out of order: " + std::to_string(*number);
  }
  if (next < least || next > last) return "lost or invented frames";
  for (const unsigned own : {70u, 71u, 72u}) {
    send(heir, own);
    if (receive(b) != own) return "the pipe is wedged";
  }
  pipe::end_gone(memory, Side::first);
  Frame frame;
  return b.receive(frame, kNow) == End::Received::ended ? "" : "no end of the file";
} catch (const std::exception& error) {
  return error.what();
}

// Looks at a copy after every change; recovery is done twice, as if root had been interrupted.
Sweep look(const PipeMemory& memory, const std::function<void(Memory)>& victim, Side side,
           const std::function<std::string(Memory all)>& check,
           const std::function<void(Memory, Side, shared::Slot)>& recover) {
  return look_at_every_change(
      memory.all(), [&] { victim(memory.all()); },
      [&](Memory copy) {
        recover(pipe_in(copy), side, kVictim);
        recover(pipe_in(copy), side, kVictim);
        for (const auto& way : pipe::header_of(pipe_in(copy)).ways) {
          if (way.send_lock.holder() || way.receive_lock.holder()) return std::string("the dead holds a lock");
        }
        return check(copy);
      });
}

Sweep look_at_sender(Start start, const std::function<void(Memory, Side, shared::Slot)>& recover) {
  const PipeMemory memory;
  begin(memory, start);
  const unsigned sent = start.before + start.waiting;
  return look(
      memory,
      [&](Memory all) {
        End end(pipe_in(all), Side::first, kVictim);
        mark();
        for (unsigned i = 0; i < 2; ++i) send(end, sent + i), ++done(all);
        mark();
      },
      Side::first, [&](Memory all) { return check(pipe_in(all), start.before, sent + done(all), sent + 2); }, recover);
}

// The frame in its hand may be gone; what it did not come to is there.
Sweep look_at_receiver(Start start, const std::function<void(Memory, Side, shared::Slot)>& recover) {
  const PipeMemory memory;
  begin(memory, start);
  const unsigned sent = start.before + start.waiting;
  return look(
      memory,
      [&](Memory all) {
        End end(pipe_in(all), Side::second, kVictim);
        mark();
        for (unsigned i = 0; i < 2; ++i) static_cast<void>(receive(end)), ++done(all);
        mark();
      },
      Side::second,
      [&](Memory all) -> std::string {
        const unsigned had = start.before + std::min<unsigned>(done(all), start.waiting);
        End peeker(pipe_in(all), Side::second, kFirstSurvivor);
        const auto first = receive(peeker);
        if (!first) return had + 1 >= sent ? check(pipe_in(all), sent, sent, sent) : "a frame is lost";
        if (*first != had && *first != had + 1) return "frames are lost or come twice";
        return check(pipe_in(all), *first + 1, sent, sent);
      },
      recover);
}

// Real kills, with others asleep.

struct Scenario {
  std::string name;
  std::function<void(Memory)> prepare;
  Side side;  // of the victim
  std::function<void(Memory)> victim;
  std::vector<std::function<void(Memory)>> survivors;
  bool victim_sleeps_first = false;
  std::function<void(Memory)> meanwhile = {};  // by the helper, when all sleep
  bool last_holder = false;                    // of its end: then it is gone
  // The victim is dead and recovered, not all survivors have ended: is there a reason why one should have?
  std::function<bool(Memory)> stuck = {};
  std::function<void(Memory)> finish = {};  // by the helper: then all survivors must end
};

End helper(Memory memory, Side side) { return End(memory, side, kHelper); }

bool holds_nothing(Memory memory) { return !helper(memory, Side::second).ready(); }

// So full that another frame of the same size just fits when the first is gone.
void fill(Memory memory) {
  auto a = helper(memory, Side::first);
  for (int i = 0; i < 12; ++i) send(a, 0);
}
void drain(Memory memory) {
  auto b = helper(memory, Side::second);
  while (receive(b)) {
  }
}

void take_one(Memory memory, shared::Slot slot) {
  End b(memory, Side::second, slot);
  receive_now(b);
}

std::vector<Scenario> scenarios() {
  const auto nothing = [](Memory) {};
  const auto sends = [](unsigned number) {
    return [number](Memory memory) {
      End a(memory, Side::first, kVictim);
      mark();
      send(a, number);
      mark();
    };
  };
  const auto receive_one = [](Memory memory) {
    End b(memory, Side::second, kVictim);
    mark();
    receive_now(b);
    mark();
  };
  const auto one = [](Memory memory) { take_one(memory, kFirstSurvivor); };
  const auto another = [](Memory memory) { take_one(memory, kFirstSurvivor + 1); };
  const auto waits = [](Memory memory) {
    static_cast<void>(End(memory, Side::second, kFirstSurvivor).poll(Clock::time_point::max()));
  };
  const auto sends_one = [](Memory memory) {
    End a(memory, Side::first, kFirstSurvivor);
    send(a, 0);
  };
  const auto give_two = [](Memory memory) {
    auto a = helper(memory, Side::first);
    send(a, 6), send(a, 7);
  };
  const auto is_ended = [](Memory memory) {
    End b(memory, Side::second, kFirstSurvivor);
    Frame frame;
    while (b.receive(frame) == End::Received::frame) {
    }
  };
  const auto is_broken = [](Memory memory) {
    End a(memory, Side::first, kFirstSurvivor);
    while (a.send(frame(3), 3)) {
    }
  };
  const auto has_something = [](Memory memory) { return !holds_nothing(memory); };
  const auto has_room = [](Memory memory) {
    const auto& header = *ring::Ring(pipe::ring_of(memory, Side::first)).header;
    return header.tail - header.head <= 512 - 72;
  };
  return {
      {.name = "send to sleeping receivers",
       .prepare = nothing,
       .side = Side::first,
       .victim = sends(4),
       .survivors = {one, another},
       .stuck = has_something,
       .finish = give_two},
      {.name = "send to one who polls",
       .prepare = nothing,
       .side = Side::first,
       .victim = sends(4),
       .survivors = {waits},
       .stuck = has_something,
       .finish = give_two},
      {.name = "send in pieces to sleeping receivers",
       .prepare = nothing,
       .side = Side::first,
       .victim = sends(5),
       .survivors = {one, another},
       .finish = give_two},
      {.name = "woken to receive",
       .prepare = nothing,
       .side = Side::second,
       .victim = receive_one,
       .survivors = {one},
       .victim_sleeps_first = true,
       .meanwhile =
           [](Memory memory) {
             auto a = helper(memory, Side::first);
             send(a, 4);
           },
       .stuck = has_something,
       .finish = give_two},
      {.name = "receive while a sender sleeps",
       .prepare = fill,
       .side = Side::second,
       .victim = receive_one,
       .survivors = {sends_one},
       .stuck = has_room,
       .finish = drain},
      {.name = "woken to send",
       .prepare = fill,
       .side = Side::first,
       .victim = sends(0),
       .survivors = {sends_one},
       .victim_sleeps_first = true,
       .meanwhile = [](Memory memory) { take_one(memory, kHelper); },
       .finish = drain},
      {.name = "the last sender",
       .prepare = nothing,
       .side = Side::first,
       .victim = sends(4),
       .survivors = {is_ended, waits},
       .last_holder = true},
      {.name = "the last receiver",
       .prepare = fill,
       .side = Side::second,
       .victim = receive_one,
       .survivors = {is_broken},
       .last_holder = true},
      {.name = "the last receiver, asleep",
       .prepare = nothing,
       .side = Side::second,
       .victim = receive_one,
       .survivors = {is_broken},
       .victim_sleeps_first = true,
       .last_holder = true},
  };
}

using Recover = std::function<void(Memory, const Scenario&)>;

void recover_all(Memory memory, const Scenario& scenario) {
  pipe::recover(memory, scenario.side, kVictim);
  if (scenario.last_holder) pipe::end_gone(memory, scenario.side);
}

class Play {
 public:
  explicit Play(const Scenario& scenario)
      : scenario_(scenario), victim_(((void)scenario.prepare(memory_.bytes()), [&] { scenario.victim(memory_.bytes()); })) {
    if (scenario.victim_sleeps_first) {
      while (victim_.step() == Stop::instruction) {
      }
    }
    for (const auto& survivor : scenario.survivors) {
      survivors_.add([&] {
        survivor(memory_.bytes());
        return 0;
      });
    }
    survivors_.settle();
    if (scenario.meanwhile) scenario.meanwhile(memory_.bytes());
  }

  bool step() { return victim_.step() == Stop::instruction; }

  std::string kill(const Recover& recover) {
    victim_.kill();
    survivors_.settle();
    recover(memory_.bytes(), scenario_);
    if (survivors_.settle() < scenario_.survivors.size() && scenario_.stuck && scenario_.stuck(memory_.bytes()))
      return "a wake-up is lost";
    if (scenario_.finish) scenario_.finish(memory_.bytes());
    survivors_.settle();
    return survivors_.fault(true);
  }

 private:
  const Scenario& scenario_;
  PipeMemory memory_;
  Stepper victim_;
  Survivors survivors_;
};

Sweep kill_in(const Scenario& scenario, std::size_t stride, const Recover& recover = recover_all,
              bool to_first_failure = false) {
  Sweep sweep;
  bool more = true;
  for (std::size_t at = 0; more; at += stride) {
    Play play(scenario);
    for (std::size_t i = 0; i < at && more; ++i) more = play.step();
    const std::string wrong = play.kill(recover);
    sweep.count(wrong.empty() ? "" : scenario.name + ", instruction " + std::to_string(at) + ": " + wrong);
    if (to_first_failure && sweep.failures != 0) break;
  }
  return sweep;
}

// On one CPU nobody spins: that is a lot of instructions which all look the same.
class OneCpu {
 public:
  OneCpu() { os::set_allowed_cpus({os::current_cpu()}); }
  ~OneCpu() { os::set_allowed_cpus(cpus_); }
  OneCpu(const OneCpu&) = delete;
  OneCpu& operator=(const OneCpu&) = delete;

 private:
  std::vector<int> cpus_ = os::allowed_cpus();
};

void kill_in_all(std::size_t stride, std::size_t kills_min) {
  const Leftovers leftovers;
  const OneCpu one_cpu;
  std::size_t points = 0;
  for (const Scenario& scenario : scenarios()) {
    const Sweep sweep = kill_in(scenario, stride);
    INFO(sweep.first_failure);
    CHECK(sweep.failures == 0);
    points += sweep.points;
  }
  WARN(points << " kills");
  CHECK(points > kills_min);
}

void leave_locks(Memory, Side, shared::Slot) {}
void free_locks(Memory memory, Side side, shared::Slot slot) { pipe::recover(memory, side, slot); }

}  // namespace

TEST_CASE("at every change of memory, a sender killed there leaves whole frames and an end that others use") {
  if (!kStepperWorks) return;
  const OneCpu one_cpu;
  std::size_t points = 0;
  for (unsigned before = 0; before < 12; ++before) {
    const auto sweep = look_at_sender({before, 0}, free_locks);
    INFO(before << " before; " << sweep.first_failure);
    REQUIRE(sweep.failures == 0);
    points += sweep.points;
  }
  WARN(points << " states");
  CHECK(look_at_sender({1, 0}, leave_locks).failures > 0);
}

TEST_CASE("at every change of memory, a receiver killed there takes along at most the frame in its hand") {
  if (!kStepperWorks) return;
  const OneCpu one_cpu;
  std::size_t points = 0;
  for (const Start start : {Start{0, 1}, Start{0, 2}, Start{1, 1}, Start{2, 2}, Start{3, 2}, Start{5, 1}, Start{6, 2}}) {
    const auto sweep = look_at_receiver(start, free_locks);
    INFO(start.before << " before, " << start.waiting << " waiting; " << sweep.first_failure);
    CHECK(sweep.failures == 0);
    points += sweep.points;
  }
  WARN(points << " states");
  CHECK(look_at_receiver({0, 1}, leave_locks).failures > 0);
}

TEST_CASE("killed at hundreds of instructions, sleeping survivors at both ends go on or are told") {
  if (!kStepperWorks) return;
  kill_in_all(9, 200);
}

TEST_CASE("killed at every instruction, sleeping survivors at both ends go on or are told", "[.][soak]") {
  if (!kStepperWorks) return;
  kill_in_all(1, 2000);
}

TEST_CASE("the sweep finds a recovery that wakes nobody, that frees no lock, or that does not tell of the end") {
  if (!kStepperWorks) return;
  const Leftovers leftovers;
  const OneCpu one_cpu;
  // Recovery as it should be, but on other futexes.
  const Recover wake_nobody = [](Memory memory, const Scenario& scenario) {
    const auto copy = os::Mapping::anonymous(memory.size());
    std::ranges::copy(memory, copy.bytes().begin());
    recover_all(copy.bytes(), scenario);
    std::ranges::copy(copy.bytes(), memory.begin());
  };
  const Recover free_nothing = [](Memory memory, const Scenario& scenario) {
    pipe::recover(memory, scenario.side, kFirstSurvivor + 5);
  };
  const Recover tell_nothing = [](Memory memory, const Scenario& scenario) { pipe::recover(memory, scenario.side, kVictim); };
  for (const Scenario& scenario : scenarios()) {
    INFO(scenario.name);
    if (scenario.name == "send to one who polls" || scenario.last_holder)
      CHECK(kill_in(scenario, 1, wake_nobody, true).failures > 0);
    if (scenario.name == "woken to receive" || scenario.name == "woken to send")
      CHECK(kill_in(scenario, 1, free_nothing, true).failures > 0);
    if (scenario.last_holder) CHECK(kill_in(scenario, 1, tell_nothing, true).failures > 0);
  }
}
