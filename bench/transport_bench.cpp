// Links: frames one way and round trips, no Cap'n Proto, against what the kernel and the machine give.
#include <sched.h>

#include <cstring>
#include <vector>

#include "harness.h"
#include "peers.h"
#include "transport/link.h"
#include "transport/ring_transport.h"
#include "transport/waiter.h"

namespace {

using namespace troupe::transport;

constexpr int kBatch = 16;  // frames a flush(): what a handler or a drain sends

// Spins a little where the peer can run meanwhile, then sleeps.
void wait_a_little(Transport& link, Waiter& waiter, int& idle) {
  if (++idle < 2000 && link.peer_on_other_cpu()) return;
  idle = 0;
  waiter.wait();
}

void send_frames(Transport& link, std::size_t size, int count) {
  Waiter waiter(link);
  const std::vector<std::byte> message(size, std::byte{7});
  int idle = 0;
  for (int i = 0; i < count; ++i) {
    std::byte* frame;
    while (!(frame = link.claim_unzeroed(size))) wait_a_little(link, waiter, idle);
    std::memcpy(frame, message.data(), size);
    link.commit(size);
    if (i % kBatch == 0) link.flush();
  }
  while (!link.flush()) waiter.wait();
  while (!link.closed()) {  // stay until the other has all
    (void)link.peek();
    waiter.wait();
  }
}

// Frames a second, each copied in and out. `End` is Transport, or a final class for calls that are not virtual.
template <class End>
double one_way_rate(LinkOptions options, const bench::Placement& where, std::size_t size, int count) {
  auto link = make_link(options);
  bench::pin(where.self);
  bench::Child child(where.peer, [&] {
    link.ours.reset();
    send_frames(*join_link(options, std::move(link.theirs)), size, count);
  });
  link.theirs.clear();
  auto& end = static_cast<End&>(*link.ours);
  Waiter waiter(end);
  std::vector<std::byte> message(size);
  double start = 0;
  int idle = 0;
  for (int i = 0; i < count;) {
    const auto frame = end.peek();
    if (!frame) {
      wait_a_little(end, waiter, idle);
      continue;
    }
    if (i++ == 0) start = bench::now();
    std::memcpy(message.data(), frame->data(), frame->size());
    bench::keep(*message.data());
    end.release();
    idle = 0;
    if (i % 512 == 0) end.flush();
  }
  const double rate = count / (bench::now() - start);
  link.ours.reset();
  child.join();
  return rate;
}

void echo(Transport& link, Waiter& waiter, bool hot) {
  while (true) {
    const auto frame = link.peek();
    if (!frame) {
      if (link.closed()) return;
      if (!hot || link.lifeline() < 0) waiter.wait();
      continue;
    }
    std::byte* reply = link.claim_unzeroed(frame->size());
    if (!reply) continue;
    if (frame->empty()) return;
    std::memcpy(reply, frame->data(), frame->size());
    link.release();
    link.commit(frame->size());
    link.flush();
  }
}

// µs; `hot`: both sides spin.
double round_trip_us(LinkOptions options, const bench::Placement& where, int trips, bool hot) {
  auto link = make_link(options);
  bench::pin(where.self);
  bench::Child child(where.peer, [&] {
    link.ours.reset();
    auto end = join_link(options, std::move(link.theirs));
    Waiter waiter(*end);
    echo(*end, waiter, hot);
  });
  link.theirs.clear();
  auto& end = *link.ours;
  Waiter waiter(end);
  double start = 0;
  for (int i = -trips / 10; i < trips; ++i) {
    if (i == 0) start = bench::now();
    std::byte* frame = end.claim(64);
    std::memcpy(frame, &i, sizeof i);
    end.commit(64);
    end.flush();
    while (!end.peek()) {
      if (!hot) waiter.wait();
    }
    end.release();
  }
  const double us = (bench::now() - start) / trips * 1e6;
  if (end.claim(8)) end.commit(0);  // an empty frame ends the echo
  end.flush();
  child.join();
  return us;
}

}  // namespace

int main(int argc, char** argv) {
  bench::Suite suite("transport", argc, argv);
  const LinkOptions ring{.kind = Kind::ring};
  const LinkOptions pipe{.kind = Kind::pipe};
  const auto both = bench::Placement::both();
  const auto one = bench::Placement::one();
  for (const auto& where : {both, one}) {
    suite.compare({.name = "ring, 64 B frames, one way, " + where.name,
                   .unit = "frames/s",
                   .ours = [=] { return one_way_rate<RingTransport>(ring, where, 64, 10'000'000); },
                   .theirs = [=] { return bench::bare_ring_rate(where, 64, 10'000'000); },
                   .peer = "bare one-writer ring"});
    suite.compare({.name = "pipe, 64 B frames, one way, " + where.name,
                   .unit = "frames/s",
                   .ours = [=] { return one_way_rate<Transport>(pipe, where, 64, 1'000'000); },
                   .theirs = [=] { return bench::bare_pipe_rate(where, 64, 300'000); },
                   .peer = "bare pipe, one write a message",
                   .target = bench::at_least(1.0)});
    suite.compare({.name = "pipe, 64 KiB frames, one way, " + where.name,
                   .unit = "frames/s",
                   .ours = [=] { return one_way_rate<Transport>(pipe, where, 65'536, 10'000); },
                   .theirs = [=] { return bench::bare_pipe_rate(where, 65'536, 10'000); },
                   .peer = "bare pipe, one write a message"});
    suite.measure({.name = "ring, 1 MiB frames, one way, " + where.name, .unit = "frames/s", .ours = [=] {
                     return one_way_rate<RingTransport>(ring, where, 1 << 20, 1'000);
                   }});
  }
  suite.compare({.name = "ring, round trip, asleep, one CPU",
                 .unit = "us",
                 .ours = [=] { return round_trip_us(ring, one, 20'000, false); },
                 .theirs = [=] { return bench::futex_round_trip_us(one, 20'000); },
                 .peer = "futex"});
  suite.compare({.name = "pipe, round trip, asleep, one CPU",
                 .unit = "us",
                 .ours = [=] { return round_trip_us(pipe, one, 20'000, false); },
                 .theirs = [=] { return bench::pipe_round_trip_us(one, 20'000); },
                 .peer = "pair of pipes"});
  suite.compare({.name = "ring, round trip, hot, two CPUs",
                 .unit = "us",
                 .ours = [=] { return round_trip_us(ring, both, 300'000, true); },
                 .theirs = [=] { return bench::spinning_round_trip_us(both, 300'000); },
                 .peer = "spinning on a cache line"});
  return suite.finish();
}
