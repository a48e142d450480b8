// The ring alone, one writer and one reader, no Cap'n Proto: against the simplest ring with slots of one size.
#include <sched.h>

#include <cstring>
#include <stdexcept>
#include <vector>

#include "harness.h"
#include "peers.h"
#include "ring/ring_reader.h"
#include "ring/ring_writer.h"

namespace {

using troupe::ring::Frame;
using troupe::ring::RingReader;
using troupe::ring::RingWriter;

constexpr std::size_t kCapacity = std::size_t{256} << 10;  // as links have it
constexpr std::uint64_t kBatch = 16;                       // frames a publish(): what a handler or a drain sends

// The size is known when we compile, as it is for the bare ring and for messages of one type: so copies need no call.
template <std::size_t kBytes>
void write_frames(RingWriter& writer, std::uint64_t count, bool zeroed, bool same_cpu) {
  const std::vector<std::byte> message(kBytes, std::byte{7});
  for (std::uint64_t i = 0; i < count; ++i) {
    std::byte* frame;
    while (!(frame = zeroed ? writer.claim(kBytes) : writer.claim_unzeroed(kBytes))) {
      if (same_cpu) sched_yield();
    }
    std::memcpy(frame, message.data(), kBytes);
    writer.commit(kBytes);
    if (i % kBatch == 0) writer.publish();
  }
  writer.publish();
}

// Frames a second, each copied in and out.
template <std::size_t kBytes>
double ring_rate(const bench::Placement& where, std::uint64_t count, bool zeroed = false) {
  bench::SharedBlock block(troupe::ring::ring_memory_size(kCapacity));
  const std::span memory(static_cast<std::byte*>(block.data()), troupe::ring::ring_memory_size(kCapacity));
  troupe::ring::format_ring(memory);
  const bool same_cpu = where.self == where.peer;
  bench::pin(where.self);
  bench::Child child(where.peer, [&] {
    RingWriter writer(memory);
    write_frames<kBytes>(writer, count, zeroed, same_cpu);
  });
  RingReader reader(memory);
  std::vector<std::byte> message(kBytes);
  double start = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    const Frame* frame;
    while (!(frame = reader.peek())) {
      if (same_cpu) sched_yield();
    }
    if (i == 0) start = bench::now();
    if (frame->size != kBytes) throw std::runtime_error("a frame of another size");
    std::memcpy(message.data(), frame->data, kBytes);
    bench::keep(*message.data());
    reader.release();
  }
  const double rate = static_cast<double>(count) / (bench::now() - start);
  child.join();
  return rate;
}

}  // namespace

int main(int argc, char** argv) {
  bench::Suite suite("ring", argc, argv);
  for (const auto& where : {bench::Placement::both(), bench::Placement::one()}) {
    constexpr int kSmall = 10'000'000;
    constexpr int kLarge = 2'000'000;
    suite.compare({.name = "64 B frames, one way, " + where.name,
                   .unit = "frames/s",
                   .ours = [=] { return ring_rate<64>(where, kSmall); },
                   .theirs = [=] { return bench::bare_ring_rate(where, 64, kSmall); },
                   .peer = "bare one-writer ring",
                   .target = bench::at_least(0.8)});
    suite.compare({.name = "64 B frames in zeroed memory, one way, " + where.name,
                   .unit = "frames/s",
                   .ours = [=] { return ring_rate<64>(where, kSmall, true); },
                   .theirs = [=] { return bench::bare_ring_rate(where, 64, kSmall); },
                   .peer = "bare one-writer ring"});
    suite.compare({.name = "1 KiB frames, one way, " + where.name,
                   .unit = "frames/s",
                   .ours = [=] { return ring_rate<1024>(where, kLarge); },
                   .theirs = [=] { return bench::bare_ring_rate(where, 1024, kLarge); },
                   .peer = "bare one-writer ring"});
  }
  return suite.finish();
}
