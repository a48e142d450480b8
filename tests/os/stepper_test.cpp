// What the kill sweeps of all rooms stand on.
#include "support/stepper.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "os/futex.h"
#include "os/memory.h"
#include "support/catch.h"

using namespace troupe;
using namespace troupe::test;
using Stop = Stepper::Stop;

namespace {

constexpr std::size_t kBytes = 48;

struct Shared {
  std::atomic<std::uint32_t> word{0};
  std::atomic<std::uint32_t> steps[40]{};
  char bytes[kBytes]{};
};

// Loops, calls, a string instruction, system calls, and a sleep.
void work(Shared& shared) {
  mark();
  for (std::uint32_t i = 0; i < 40; ++i) {
    shared.steps[i] = i * i;
    if (i % 10 == 3) os::futex_wake(shared.steps[i], 1);
  }
#if defined(__x86_64__)
  void* to = shared.bytes;
  std::size_t count = kBytes;
  asm volatile("rep stosb" : "+D"(to), "+c"(count) : "a"('x') : "memory");
#endif
  while (shared.word == 0) os::futex_wait(shared.word, 0);
  for (char& byte : shared.bytes) byte = static_cast<char>(byte + 1);
  mark();
}

struct Arena {
  os::Mapping mapping{os::make_shared_memory("test", sizeof(Shared)), sizeof(Shared)};
  Shared& shared = *new (mapping.bytes().data()) Shared;
  Stepper stepper{[this] { work(shared); }};
  void wake() {
    shared.word = 1;
    os::futex_wake_all(shared.word);
  }
};

}  // namespace

TEST_CASE("breakpoints lead a victim where steps lead it") {
  if (!kStepperWorks) return;
  Path path;
  std::vector<std::vector<std::byte>> states;
  {
    Arena first;
    first.stepper.record(path);
    Stop stop = Stop::instruction;
    while (stop == Stop::instruction) {
      states.emplace_back(first.mapping.bytes().begin(), first.mapping.bytes().end());
      stop = first.stepper.step();
      if (stop == Stop::blocked) first.wake(), stop = first.stepper.step();
    }
    REQUIRE(stop == Stop::mark);
  }
  REQUIRE(path.steps() + 1 == states.size());
  REQUIRE(path.sleeps_at);
  CHECK(path.steps() > 500);
  std::size_t elsewhere = 0;
  for (std::size_t steps = 0; steps <= path.steps(); ++steps) {
    Arena other;
    Stop stop = other.stepper.to(path, steps);
    if (stop == Stop::blocked) other.wake(), stop = other.stepper.to(path, steps);
    CHECK(stop == Stop::instruction);
    if (other.stepper.instruction_pointer() != path.at[steps]) ++elsewhere;
    if (!std::ranges::equal(other.mapping.bytes(), states[steps])) ++elsewhere;
  }
  CHECK(elsewhere == 0);
  CHECK(path.at[path.steps()] != 0);
}

TEST_CASE("a victim that does something else than the one before is killed where it ends or sleeps") {
  if (!kStepperWorks) return;
  Path path;
  {
    Arena first;
    first.wake();
    first.stepper.record(path);
    while (first.stepper.step() == Stop::instruction) {
    }
  }
  Arena asleep;
  CHECK(asleep.stepper.to(path, path.steps()) == Stop::blocked);
  asleep.stepper.kill();
  CHECK(asleep.stepper.to(path, path.steps()) == Stop::ended);
}
