#include "process/things.h"

#include "os/memory.h"
#include "pipe/recover.h"
#include "support/catch.h"

using namespace troupe;
using namespace troupe::process;

namespace {

constexpr Serial kOne = 1, kTwo = 2;
constexpr ThingId kFirst = 1, kSecond = 2, kThird = 3;

// A pipe whose ends are the things kFirst and kSecond, made by kOne.
struct PipeThings {
  PipeThings() {
    pipe::format(mapping.bytes(), {});
    things.create(kFirst, ThingKind::first_end, memory.duplicate(), kOne);
    things.create(kSecond, ThingKind::second_end, memory.duplicate(), kOne);
  }
  [[nodiscard]] bool closed(pipe::Side side) const {
    return pipe::header_of(mapping.bytes()).ways[pipe::index(side)].no_sender != 0;
  }

  os::Descriptor memory = os::make_shared_memory("things-test", pipe::memory_size({}));
  os::Mapping mapping{memory, pipe::memory_size({})};
  Things things;
};

}  // namespace

TEST_CASE("the end of a pipe is closed when its last user has gone, in whatever way, and nobody keeps it") {
  PipeThings pipe;
  pipe.things.open(kFirst, kTwo);
  pipe.things.close(kFirst, kOne);
  CHECK_FALSE(pipe.closed(pipe::Side::first));
  pipe.things.hold(kFirst);
  pipe.things.ended(kTwo, {.finished = false, .name = "two"});
  CHECK_FALSE(pipe.closed(pipe::Side::first));
  pipe.things.let_go(kFirst);
  CHECK(pipe.closed(pipe::Side::first));
  CHECK_FALSE(pipe.closed(pipe::Side::second));
  CHECK_FALSE(pipe.things.has(kFirst));
  pipe.things.ended(kOne, {.finished = true, .name = "one"});
  CHECK(pipe.closed(pipe::Side::second));
  CHECK(pipe.things.size() == 0);
}

TEST_CASE(
    "what was sent over a pipe is kept until it has arrived, as often as it was sent, in whatever order root hears of it") {
  PipeThings pipe;
  PipeThings other;
  pipe.things.create(kThird, ThingKind::first_end, other.memory.duplicate(), kOne);
  pipe.things.keep(kFirst, kThird);
  pipe.things.unkeep(kFirst, kThird);
  pipe.things.unkeep(kFirst, kThird);  // it arrived before root heard that it was sent
  pipe.things.keep(kFirst, kThird);
  pipe.things.keep(kFirst, kThird);
  pipe.things.keep(kFirst, kThird);
  pipe.things.close(kThird, kOne);
  CHECK(pipe.things.has(kThird));
  pipe.things.unkeep(kFirst, kThird);
  CHECK(pipe.things.has(kThird));
  pipe.things.unkeep(kFirst, kThird);
  CHECK_FALSE(pipe.things.has(kThird));
  CHECK(other.closed(pipe::Side::first));
  pipe.things.unkeep(kFirst, kThird);  // of what is gone
  pipe.things.keep(kThird, kFirst);
  CHECK(pipe.things.size() == 2);
}

TEST_CASE("what has not arrived goes with who could have received it") {
  PipeThings pipe;
  PipeThings other;
  pipe.things.create(kThird, ThingKind::second_end, other.memory.duplicate(), kOne);
  pipe.things.keep(kSecond, kThird);
  pipe.things.close(kThird, kOne);
  CHECK_FALSE(other.closed(pipe::Side::second));
  pipe.things.close(kSecond, kOne);
  CHECK(other.closed(pipe::Side::second));
  CHECK(pipe.things.size() == 1);
}
