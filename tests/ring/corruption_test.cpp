// A peer that writes anything anywhere into the shared bytes costs a ProtocolError at worst. Under ASan this shows that no byte
// outside of the ring is touched.
#include <troupe/errors.h>

#include <cstring>
#include <random>

#include "ring/memory.h"
#include "ring/ring_reader.h"
#include "ring/ring_writer.h"
#include "support/catch.h"

using namespace troupe;
using namespace troupe::ring;
using troupe::test::RingMemory;

namespace {

using Random = std::minstd_rand;

constexpr std::size_t kCapacity = 512;

// Values that a scribbler would choose if he knew where it hurts.
std::uint64_t nasty(Random& random, std::uint64_t old) {
  switch (random() % 8) {
    case 0: return old + 8 * (random() % 130);
    case 1: return old - 8 * (random() % 130);
    case 2: return old ^ std::uint64_t{1} << random() % 64;
    case 3: return record_word(random() % 600, static_cast<std::uint16_t>(random() % 3), RecordKind::frame);
    case 4: return record_word(random() % 600, 0, RecordKind::pad);
    case 5: return ~std::uint64_t{0} - random() % 64;
    case 6: return 0;
    default: return std::uint64_t{random()} << 32 | random();
  }
}

void corrupt(RingMemory& memory, Random& random) {
  const std::size_t words = memory.bytes().size() / 8;
  const bool index = random() % 3 == 0;
  const std::size_t place = index ? 16 * (1 + random() % 4) : random() % words;
  auto& word = reinterpret_cast<std::uint64_t*>(memory.bytes().data())[place];
  word = nasty(random, word);
}

void write_some(RingWriter& writer, Random& random) {
  for (auto i = random() % 6; i > 0; --i) {
    const std::size_t size = random() % (writer.frame_size_max() + 1);
    std::byte* frame = writer.claim(size);
    if (!frame) break;
    std::memset(frame, static_cast<int>(size), size);
    writer.commit(size);
  }
  writer.publish();
}

// Touches every byte it is shown, as a copy would.
std::size_t read_some(RingReader& reader, Random& random) {
  std::size_t sum = 0;
  for (auto i = random() % 8; i > 0; --i) {
    const Frame* frame = reader.peek();
    if (!frame) break;
    for (const std::byte byte : frame->bytes()) sum += static_cast<std::size_t>(byte);
    reader.release();
  }
  return sum;
}

// One ring's life: traffic, scribbling, traffic. True if somebody noticed.
template <class Traffic>
bool noticed(std::uint32_t seed, Traffic traffic) {
  Random random(seed);
  RingMemory memory(kCapacity);
  bool threw = false;
  const auto attempt = [&](auto action) {
    try {
      action();
    } catch (const ProtocolError&) {
      threw = true;
    }
  };
  attempt([&] { traffic(memory, random, attempt); });
  return threw;
}

constexpr std::uint32_t kRuns = 100'000;

}  // namespace

TEST_CASE("a reader survives 100,000 random corruptions of the shared bytes") {
  std::uint32_t count = 0;
  for (std::uint32_t seed = 1; seed <= kRuns; ++seed) {
    count += noticed(seed, [](RingMemory& memory, Random& random, auto attempt) {
      RingWriter writer(memory.bytes());
      RingReader reader(memory.bytes());
      for (int step = 0; step < 6; ++step) {
        attempt([&] { write_some(writer, random); });
        corrupt(memory, random);
        attempt([&] { read_some(reader, random); });
      }
    });
  }
  CHECK(count > kRuns / 10);  // the corruptions do hurt
}

TEST_CASE("a writer survives 100,000 random corruptions of the shared bytes") {
  std::uint32_t count = 0;
  for (std::uint32_t seed = 1; seed <= kRuns; ++seed) {
    count += noticed(seed, [](RingMemory& memory, Random& random, auto attempt) {
      RingWriter writer(memory.bytes());
      for (int step = 0; step < 6; ++step) {
        attempt([&] { write_some(writer, random); });
        if (random() % 2 == 0) memory.header().head = memory.header().tail.load();
        if (random() % 4 == 0) corrupt(memory, random);
      }
    });
  }
  CHECK(count > kRuns / 20);
}

TEST_CASE("ends that join 100,000 corrupted rings refuse them or survive them") {
  std::uint32_t count = 0;
  for (std::uint32_t seed = 1; seed <= kRuns; ++seed) {
    count += noticed(seed, [](RingMemory& memory, Random& random, auto attempt) {
      {
        RingWriter writer(memory.bytes());
        write_some(writer, random);
      }
      corrupt(memory, random);
      attempt([&] {
        RingReader reader(memory.bytes());
        read_some(reader, random);
      });
      attempt([&] {
        RingWriter writer(memory.bytes());
        write_some(writer, random);
      });
    });
  }
  CHECK(count > kRuns / 20);
}
