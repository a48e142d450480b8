// Kills a ring's writer and its reader at every instruction: the other side sees whole frames, in order, and goes on.
#include <troupe/errors.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "os/memory.h"
#include "ring/ring_reader.h"
#include "ring/ring_writer.h"
#include "support/catch.h"
#include "support/stepper.h"

using namespace troupe;
using namespace troupe::ring;
using troupe::test::mark;
using troupe::test::Sweep;

namespace {

constexpr std::size_t kCapacity = 512;
constexpr std::size_t kMemory = ring_memory_size(kCapacity);

// Memory that the victim shares with us.
struct SharedRing {
  os::Descriptor file = os::make_shared_memory("ring-test", kMemory);
  os::Mapping mapping{file, kMemory};
  [[nodiscard]] std::span<std::byte> bytes() const { return mapping.bytes(); }
};

// Frame `number` is that byte, as often as its size says; sizes differ so that records begin anywhere.
std::size_t size_of(unsigned number) { return 40 + number * 23 % 60; }

template <class Writer>
bool put(Writer& writer, unsigned number) {
  std::byte* frame = writer.claim(size_of(number));
  if (!frame) return false;
  std::memset(frame, static_cast<int>(number), size_of(number));
  writer.commit(size_of(number));
  return true;
}

// The number of the frame at the head, or what is wrong with it.
struct Got {
  std::optional<unsigned> number;
  std::string wrong;
};
Got get(RingReader& reader) try {
  const Frame* frame = reader.peek();
  if (!frame) return {};
  const auto bytes = frame->bytes();
  const unsigned number = bytes.empty() ? 0 : static_cast<unsigned>(bytes[0]);
  const bool whole = bytes.size() == size_of(number) && std::ranges::all_of(bytes, [&](auto byte) { return byte == bytes[0]; });
  reader.release();
  if (!whole) return {{}, "a torn frame"};
  return {number, ""};
} catch (const ProtocolError& error) {
  return {{}, error.what()};
}

// What a test begins with: `before` frames that went through already, then `waiting` that the reader has not seen.
struct Start {
  unsigned before;
  unsigned waiting;
};
constexpr Start kStarts[] = {{0, 0}, {4, 1}, {5, 2}, {11, 3}};

void begin(std::span<std::byte> memory, Start start) {
  format_ring(memory);
  RingWriter writer(memory);
  RingReader reader(memory);
  for (unsigned i = 0; i < start.before + start.waiting; ++i) {
    put(writer, i + 1);
    writer.publish();
    if (i < start.before) get(reader);
  }
}

// Frames come in order from `first` to `last` at most, and at least up to `least`; then a new writer can go on.
std::string check_reader(std::span<std::byte> memory, unsigned first, unsigned least, unsigned last) {
  RingReader reader(memory);
  unsigned next = first;
  while (true) {
    const Got got = get(reader);
    if (!got.wrong.empty()) return got.wrong;
    if (!got.number) break;
    if (*got.number != next++) return "a frame out of order";
  }
  if (next < least + 1 || next > last + 1) return "lost or invented frames";
  RingWriter writer(memory);
  if (!put(writer, 77) || !writer.publish() || get(reader).number != 77u) return "the ring is wedged";
  return "";
}

// Writes frames as the real writer does, but shows each before it is there: what the sweep has to notice.
class HastyWriter {
 public:
  explicit HastyWriter(std::span<std::byte> memory) : writer_(memory) {}
  std::byte* claim(std::size_t size) {
    std::byte* frame = writer_.claim_unzeroed(size);
    if (!frame) return nullptr;
    writer_.commit(size);
    writer_.publish();
    return frame;
  }
  void commit(std::size_t) {}
  void publish() {}

 private:
  RingWriter writer_;
};

template <class Writer>
void write_two(std::span<std::byte> memory, unsigned number) {
  Writer writer(memory);
  mark();
  put(writer, number);
  put(writer, number + 1);
  writer.publish();
  mark();
}

template <class Writer>
Sweep kill_writers(Start start) {
  SharedRing shared;
  const unsigned sent = start.before + start.waiting;
  return test::kill_at_every_instruction([&] { begin(shared.bytes(), start); },
                                         [&] { write_two<Writer>(shared.bytes(), sent + 1); },
                                         [&] { return check_reader(shared.bytes(), start.before + 1, sent, sent + 2); });
}

}  // namespace

TEST_CASE("a writer killed at any instruction of claim, commit and publish leaves whole frames") {
  if (!test::kStepperWorks) return;
  std::size_t points = 0;
  for (const Start start : kStarts) {
    const auto sweep = kill_writers<RingWriter>(start);
    INFO(start.before << " frames before, " << start.waiting << " waiting; " << sweep.first_failure);
    CHECK(sweep.failures == 0);
    points += sweep.points;
  }
  WARN(points << " kills");
  CHECK(points > 500);
}

TEST_CASE("the sweep notices a writer that shows a frame before it is there") {
  if (!test::kStepperWorks) return;
  const auto sweep = kill_writers<HastyWriter>({0, 0});
  CHECK(sweep.failures > 0);
  CHECK(sweep.failures < sweep.points);
}

TEST_CASE("whatever a writer's memory looks like between two instructions, the reader sees whole frames") {
  if (!test::kStepperWorks) return;
  std::size_t points = 0;
  for (unsigned before = 0; before < 40; ++before) {
    for (unsigned waiting = 0; waiting < 5; ++waiting) {
      SharedRing shared;
      begin(shared.bytes(), {before, waiting});
      const unsigned sent = before + waiting;
      const auto sweep = test::look_at_every_change(
          shared.bytes(), [&] { write_two<RingWriter>(shared.bytes(), sent + 1); },
          [&](std::span<std::byte> copy) { return check_reader(copy, before + 1, sent, sent + 2); });
      INFO(before << " frames before, " << waiting << " waiting; " << sweep.first_failure);
      REQUIRE(sweep.failures == 0);
      points += sweep.points;
    }
  }
  WARN(points << " states");
}

TEST_CASE("a reader killed at any instruction of peek and release leaves the writer going") {
  if (!test::kStepperWorks) return;
  std::size_t points = 0;
  for (const Start start : kStarts) {
    SharedRing shared;
    std::optional<RingWriter> writer;
    const unsigned sent = start.before + start.waiting;
    const auto sweep = test::kill_at_every_instruction(
        [&] {
          begin(shared.bytes(), start);
          writer.emplace(shared.bytes());
        },
        [&] {
          RingReader reader(shared.bytes());
          mark();
          for (unsigned i = 0; i < 3; ++i) {
            if (reader.peek()) reader.release();
          }
          mark();
        },
        [&]() -> std::string {
          unsigned last = sent;
          try {
            while (put(*writer, last + 1)) ++last;
          } catch (const ProtocolError& error) {
            return error.what();
          }
          if (last == sent) return "the writer is wedged";
          // What the reader released is gone, what it did not release is all still there.
          RingReader heir(shared.bytes());
          const auto first = heir.peek() ? static_cast<unsigned>(heir.peek()->data[0]) : 0;
          if (first < start.before + 1 || first > start.before + 1 + std::min(start.waiting, 3u))
            return "frames lost or shown twice";
          return check_reader(shared.bytes(), first, last, last);
        });
    INFO(start.before << " frames before, " << start.waiting << " waiting; " << sweep.first_failure);
    CHECK(sweep.failures == 0);
    points += sweep.points;
  }
  WARN(points << " kills");
}
