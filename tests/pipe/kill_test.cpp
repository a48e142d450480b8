// Kills a holder of an end at each instruction of what it does: the others go on, see whole frames, in order, and are told the end.
#include <poll.h>
#include <sys/socket.h>

#include <functional>
#include <limits>

#include "os/epoll.h"
#include "play.h"
#include "ring/ring.h"
#include "support/catch.h"
#include "support/leftovers.h"

using namespace troupe;
using namespace troupe::test;
using namespace pipe_test;
using Stop = Stepper::Stop;

namespace {

constexpr Clock::time_point kNow = Clock::time_point::min();

// What a test begins with: frames that went through already, then some that wait.
struct Start {
  unsigned before;
  unsigned waiting;
  bool practised = false;  // it was the victim who sent, or received, those: at once, in the end
};

void begin(End& a, End& b, Start start) {
  for (unsigned i = 0; i < start.before + start.waiting; ++i) {
    send(a, i);
    if (i < start.before) receive_now(b);
  }
}

// In the victim's process if it is to be practised, otherwise in another.
void begin(Memory memory, Start start, Side side, End& victims) {
  End theirs(memory, other(side), kPartner);
  if (start.practised) side == Side::first ? begin(victims, theirs, start) : begin(theirs, victims, start);
}
void begin(const PipeMemory& memory, Start start) {
  End a(memory.bytes(), Side::first, kHelper), b(memory.bytes(), Side::second, kHelper);
  if (!start.practised) begin(a, b, start);
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
        begin(pipe_in(all), start, Side::first, end);
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
        begin(pipe_in(all), start, Side::second, end);
        mark();
        for (unsigned i = 0; i < 2; ++i) static_cast<void>(receive(end, kNow, frame_size(start.before + i))), ++done(all);
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

End helper(const PipeMemory& pipe, Side side) { return pipe.end(side, kHelper); }

bool has_something(const PipeMemory& pipe) { return helper(pipe, Side::second).ready(); }

bool has_room(const PipeMemory& pipe) {
  if (pipe.socket(Side::first) >= 0) return os::wait_for(pipe.socket(Side::first), POLLOUT, kNow);
  const auto& header = *ring::Ring(pipe::ring_of(pipe.bytes(), Side::first)).header;
  return header.tail - header.head <= 512 - 72;
}

// So full that another frame of the same size just fits when the first is gone; over sockets, when a few are.
void fill(const PipeMemory& pipe) {
  auto a = helper(pipe, Side::first);
  if (pipe.socket(Side::first) < 0) {
    for (int i = 0; i < 12; ++i) send(a, 0);
    return;
  }
  std::vector<std::byte> packet(pipe::kPacketFront);
  const auto bytes = frame(0);
  packet.insert(packet.end(), bytes.begin(), bytes.end());
  while (::send(pipe.socket(Side::first), packet.data(), packet.size(), MSG_DONTWAIT) > 0) {
  }
}
void drain(const PipeMemory& pipe) {
  auto b = helper(pipe, Side::second);
  while (receive(b)) {
  }
}

void take_one(const PipeMemory& pipe, shared::Slot slot) {
  End b = pipe.end(Side::second, slot);
  receive_now(b);
}

// What poll() says is there, receive() has, until `last` came.
void poll_and_receive(const PipeMemory& pipe, shared::Slot slot, unsigned last) {
  End b = pipe.end(Side::second, slot);
  while (true) {
    if (!b.poll(Clock::time_point::max())) throw std::runtime_error("poll() did not wait");
    const auto number = receive(b);
    if (!number) throw std::runtime_error("poll() said there was something");
    if (*number == last) return;
  }
}

std::vector<Scenario> scenarios(PipeShape shape) {
  const bool over_sockets = shape.over_sockets;
  const auto sends = [](unsigned number) {
    return [number](const PipeMemory& pipe) {
      End a = pipe.end(Side::first, kVictim);
      mark();
      send(a, number);
      mark();
    };
  };
  const auto receive_one = [](const PipeMemory& pipe) {
    End b = pipe.end(Side::second, kVictim);
    mark();
    receive_now(b);
    mark();
  };
  const auto sends_at_once = [](const PipeMemory& pipe) {
    End a = pipe.end(Side::first, kVictim), b = pipe.end(Side::second, kPartner);
    practise(a, b);
    mark();
    send(a, 4);
    mark();
  };
  const auto receives_at_once = [](const PipeMemory& pipe) {
    End a = pipe.end(Side::first, kPartner), b = pipe.end(Side::second, kVictim);
    practise(a, b, true);
    mark();
    static_cast<void>(receive(b, kNow, frame_size(0)));
    mark();
  };
  const auto one = [](const PipeMemory& pipe) { take_one(pipe, kFirstSurvivor); };
  const auto another = [](const PipeMemory& pipe) { take_one(pipe, kFirstSurvivor + 1); };
  const auto waits = [](const PipeMemory& pipe) {
    static_cast<void>(pipe.end(Side::second, kFirstSurvivor).poll(Clock::time_point::max()));
  };
  const auto sends_one = [](const PipeMemory& pipe) {
    End a = pipe.end(Side::first, kFirstSurvivor);
    send(a, 0);
  };
  const auto give_two = [](const PipeMemory& pipe) {
    auto a = helper(pipe, Side::first);
    send(a, 6), send(a, 7);
  };
  const auto is_ended = [](const PipeMemory& pipe) {
    End b = pipe.end(Side::second, kFirstSurvivor);
    Frame frame;
    while (b.receive(frame) == End::Received::frame) {
    }
  };
  const auto is_broken = [](const PipeMemory& pipe) {
    End a = pipe.end(Side::first, kFirstSurvivor);
    while (a.send(frame(3), 3)) {
    }
  };
  // It holds the same end as the victim, and sends more than the pipe takes at a time, when it is told to.
  const auto co_holder = [](const PipeMemory& pipe) {
    End a = pipe.end(Side::first, kFirstSurvivor + 1);
    receive_now(a);
    for (const unsigned number : {8u, 11u, 14u, 17u, 4u}) send(a, number);
  };
  const auto tell_co_holder = [](const PipeMemory& pipe) {
    auto b = helper(pipe, Side::second);
    send(b, 1);
  };
  const auto polls = [](const PipeMemory& pipe) { poll_and_receive(pipe, kFirstSurvivor, 4); };
  const auto receives = [](const PipeMemory& pipe) {
    End b = pipe.end(Side::second, kFirstSurvivor);
    while (receive_now(b) != 4) {
    }
  };
  std::vector<Scenario> all = {
      {.name = "send to sleeping receivers",
       .side = Side::first,
       .victim = sends(4),
       .survivors = {one, another},
       .stuck = has_something,
       .finish = give_two},
      {.name = "send to one who polls",
       .side = Side::first,
       .victim = sends(4),
       .survivors = {waits},
       .stuck = has_something,
       .finish = give_two},
      {.name = "send in pieces to sleeping receivers",
       .side = Side::first,
       .victim = sends(5),
       .survivors = {one, another},
       .finish = give_two},
      {.name = "send in pieces to one who receives, and another holds that end",
       .side = Side::first,
       .victim = sends(5),
       .survivors = {receives, co_holder},
       .finish = tell_co_holder},
      {.name = "woken to receive",
       .side = Side::second,
       .victim = receive_one,
       .survivors = {one},
       .victim_sleeps_first = true,
       .meanwhile =
           [](const PipeMemory& pipe) {
             auto a = helper(pipe, Side::first);
             send(a, 4);
           },
       .stuck = has_something,
       .finish = give_two},
      {.name = "receive in pieces",
       .prepare =
           [](const PipeMemory& pipe) {
             auto a = helper(pipe, Side::first);
             send(a, 5);
           },
       .side = Side::second,
       .victim = receive_one,
       .survivors = {another, one},
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
       .meanwhile = [=](const PipeMemory& pipe) { over_sockets ? drain(pipe) : take_one(pipe, kHelper); },
       .finish = drain},
      {.name = "the last sender",
       .side = Side::first,
       .victim = sends(4),
       .survivors = {is_ended, waits},
       .last_holder = true},
      {.name = "the last sender, in pieces",
       .side = Side::first,
       .victim = sends(5),
       .survivors = {is_ended},
       .last_holder = true},
      {.name = "the last receiver",
       .prepare = fill,
       .side = Side::second,
       .victim = receive_one,
       .survivors = {is_broken},
       .last_holder = true},
      {.name = "the last receiver, asleep",
       .side = Side::second,
       .victim = receive_one,
       .survivors = {is_broken},
       .victim_sleeps_first = true,
       .last_holder = true},
  };
  if (!over_sockets) {
    all.push_back({.name = "send at once to sleeping receivers",
                   .side = Side::first,
                   .victim = sends_at_once,
                   .survivors = {one, another},
                   .stuck = has_something,
                   .finish = give_two});
    all.push_back({.name = "receive at once while a sender sleeps",
                   .prepare = fill,
                   .side = Side::second,
                   .victim = receives_at_once,
                   .survivors = {sends_one},
                   .stuck = has_room,
                   .finish = drain});
    all.push_back({.name = "send in pieces to one who polls, and another holds that end",
                   .side = Side::first,
                   .victim = sends(5),
                   .survivors = {polls, co_holder},
                   .stuck = has_something,
                   .finish = tell_co_holder});
    all.push_back({.name = "send more than the ring takes, when it is half full, to one who polls, and another holds that end",
                   .prepare =
                       [](const PipeMemory& pipe) {
                         auto a = helper(pipe, Side::first);
                         send(a, 5);
                       },
                   .side = Side::first,
                   .victim = sends(5),
                   .survivors = {polls, co_holder},
                   .stuck = has_something,
                   .finish = tell_co_holder});
  }
  for (Scenario& scenario : all) scenario.shape = shape;
  return all;
}

PipeShape over_sockets() {
  PipeShape shape = kSmall;
  shape.over_sockets = true;
  return shape;
}

void kill_in_all(PipeShape shape, std::size_t stride, std::size_t kills_min) {
  check_kills(scenarios(shape), [=](const Scenario& scenario) { return kill_in(scenario, stride); }, kills_min);
}

void leave_locks(Memory, Side, shared::Slot) {}
void free_locks(Memory memory, Side side, shared::Slot slot) { pipe::recover(memory, side, slot); }

}  // namespace

TEST_CASE("at every change of memory, a sender killed there leaves whole frames and an end that others use") {
  if (!kStepperWorks) return;
  const OneCpu one_cpu;
  std::size_t points = 0;
  std::vector<Start> starts;
  for (unsigned before = 0; before < 12; ++before) starts.push_back({before, 0});
  for (unsigned before = kPractice; before < kPractice + 12; ++before) starts.push_back({before, 0, true});
  for (const Start start : starts) {
    const auto sweep = look_at_sender(start, free_locks);
    INFO(start.before << " before, " << start.practised << "; " << sweep.first_failure);
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
  for (const Start start : {Start{0, 1}, Start{0, 2}, Start{1, 1}, Start{2, 2}, Start{3, 2}, Start{5, 1}, Start{6, 2},
                            Start{kPractice, 2, true}, Start{kPractice + 1, 2, true}, Start{kPractice + 4, 1, true}}) {
    const auto sweep = look_at_receiver(start, free_locks);
    INFO(start.before << " before, " << start.waiting << " waiting; " << sweep.first_failure);
    CHECK(sweep.failures == 0);
    points += sweep.points;
  }
  WARN(points << " states");
  CHECK(look_at_receiver({0, 1}, leave_locks).failures > 0);
}

TEST_CASE("killed at more than a thousand instructions, sleeping survivors at both ends go on or are told") {
  if (!kStepperWorks) return;
  kill_in_all(kSmall, 9, 1000);
}

TEST_CASE("and so they do over sockets") {
  if (!kStepperWorks) return;
  kill_in_all(over_sockets(), 5, 300);
}

TEST_CASE("killed at every instruction, sleeping survivors at both ends go on or are told", "[.][soak][kill-sweep]") {
  if (!kStepperWorks) return;
  kill_in_all(kSmall, 1, 8000);
}

TEST_CASE("and so they do over sockets, killed at every instruction", "[.][soak][kill-sweep]") {
  if (!kStepperWorks) return;
  kill_in_all(over_sockets(), 1, 2000);
}

TEST_CASE("the sweep finds a recovery that wakes nobody, that frees no lock, or that does not tell of the end") {
  if (!kStepperWorks) return;
  const Leftovers leftovers;
  const OneCpu one_cpu;
  // Recovery as it should be, but on other futexes, and without a nudge.
  const Recover wake_nobody = [](const PipeMemory& pipe, const Scenario& scenario) {
    const Memory memory = pipe.bytes();
    const auto copy = os::Mapping::anonymous(memory.size());
    std::ranges::copy(memory, copy.bytes().begin());
    pipe::recover(copy.bytes(), scenario.side, kVictim);
    if (scenario.last_holder) pipe::end_gone(copy.bytes(), scenario.side);
    std::ranges::copy(copy.bytes(), memory.begin());
  };
  const Recover free_nothing = [](const PipeMemory& pipe, const Scenario& scenario) {
    pipe::recover(pipe.bytes(), scenario.side, kFirstSurvivor + 5);
  };
  const Recover tell_nothing = [](const PipeMemory& pipe, const Scenario& scenario) {
    pipe::recover(pipe.bytes(), scenario.side, kVictim, pipe.socket(scenario.side));
  };
  for (const PipeShape& shape : {kSmall, over_sockets()}) {
    for (const Scenario& scenario : scenarios(shape)) {
      INFO(scenario.name << (shape.over_sockets ? ", over sockets" : ""));
      if ((!shape.over_sockets && scenario.name == "send to one who polls") || scenario.last_holder)
        CHECK(kill_in(scenario, 1, wake_nobody, true).failures > 0);
      if (scenario.name == "woken to receive" || scenario.name == "woken to send")
        CHECK(kill_in(scenario, 1, free_nothing, true).failures > 0);
      if (scenario.last_holder) CHECK(kill_in(scenario, 1, tell_nothing, true).failures > 0);
    }
  }
}
