// Pipe as users have it, from process to process, against a bare ring, ZeroMQ over ipc:// (where it was there to be built with), and
// what the kernel and the cache need for a round trip.
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <fstream>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

#include <troupe/pipe.h>
#include <troupe/process.h>
#include <troupe/program.h>

#include "harness.h"
#include "peers.h"
#include "pipe_bench.capnp.h"

#ifdef TROUPE_ZEROMQ
#include <zmq.h>
#endif

namespace {

using troupe::Connection;

constexpr std::size_t kSmall = 64;
constexpr std::size_t kLarge = std::size_t{1} << 20;

void check(bool holds, const char* what) {
  if (!holds) throw std::runtime_error(what);
}

// Frames a second, counted from the first that arrives.
double pipe_rate(const bench::Placement& where, std::size_t size, int frames) {
  auto [from, to] = troupe::Pipe(false);
  troupe::Process sender(
      [](Connection out, int cpu, std::size_t bytes, int count) {
        bench::pin(cpu);
        const std::vector<std::byte> frame(bytes, std::byte{7});
        for (int i = 0; i < count; ++i) out.send_bytes(frame);
      },
      to, where.peer, size, frames);
  bench::pin(where.self);
  sender.start();
  to.close();
  std::vector<std::byte> frame;
  double start = 0;
  for (int i = 0; i < frames; ++i) {
    from.recv_bytes(frame);
    if (i == 0) start = bench::now();
    check(frame.size() == size, "a frame of another size");
  }
  const double rate = (frames - 1) / (bench::now() - start);
  sender.join();
  check(sender.exitcode() == 0, "the sender failed");
  return rate;
}

// Values as people send them: encoded, with the name of their types, and decoded.
double value_rate(const bench::Placement& where, int values) {
  using Value = std::tuple<int, double, std::string>;
  auto [from, to] = troupe::Pipe(false);
  troupe::Process sender(
      [](Connection out, int cpu, int count) {
        bench::pin(cpu);
        for (int i = 0; i < count; ++i) out.send(Value(i, 0.5, "apples"));
      },
      to, where.peer, values);
  bench::pin(where.self);
  sender.start();
  to.close();
  double start = 0;
  for (int i = 0; i < values; ++i) {
    check(std::get<0>(from.recv<Value>()) == i, "a value out of order");
    if (i == 0) start = bench::now();
  }
  const double rate = (values - 1) / (bench::now() - start);
  sender.join();
  return rate;
}

double round_trip_us(const bench::Placement& where, int trips) {
  auto [ours, theirs] = troupe::Pipe();
  const int warm_up = trips / 10;
  troupe::Process echo(
      [](Connection pipe, int cpu, int count) {
        bench::pin(cpu);
        std::vector<std::byte> frame;
        for (int i = 0; i < count; ++i) {
          pipe.recv_bytes(frame);
          pipe.send_bytes(frame);
        }
      },
      theirs, where.peer, warm_up + trips);
  bench::pin(where.self);
  echo.start();
  theirs.close();
  std::vector<std::byte> frame(kSmall);
  double start = 0;
  for (int i = 0; i < warm_up + trips; ++i) {
    if (i == warm_up) start = bench::now();
    ours.send_bytes(frame);
    ours.recv_bytes(frame);
  }
  const double time = (bench::now() - start) / trips * 1e6;
  echo.join();
  return time;
}

std::uint64_t read_ends(const troupe::SharedMessage<bench::Blob>& blob) {
  const auto words = blob->getWords();
  return words[0] + words[words.size() - 1];
}

std::size_t free_memory() {
  std::ifstream info("/proc/meminfo");
  for (std::string word; info >> word;) {
    std::size_t kilobytes = 0;
    if (word == "MemAvailable:" && info >> kilobytes) return kilobytes << 10;
  }
  return 0;
}

// A process sends to itself: what it costs when nobody waits.
double alone_ns(int frames) {
  auto [from, to] = troupe::Pipe(false);
  std::vector<std::byte> frame(kSmall);
  const double start = bench::now();
  for (int i = 0; i < frames; ++i) {
    to.send_bytes(frame);
    from.recv_bytes(frame);
  }
  return (bench::now() - start) / frames * 1e9;
}

// A message that was built in a block, handed over and back by processes that read its first and its last byte; half of a round trip.
double hand_over_us(const bench::Placement& where, std::size_t size, int trips) {
  const std::size_t room = size + 4096;
  auto [ours, theirs] = troupe::Pipe({.block_bytes = room + 4096});
  const int warm_up = trips / 10;
  troupe::Process echo(
      [](Connection pipe, int cpu, int count) {
        bench::pin(cpu);
        for (int i = 0; i < count; ++i) {
          const auto blob = pipe.recv<troupe::SharedMessage<bench::Blob>>();
          check(read_ends(blob) == 14, "a message of other contents");
          pipe.send(blob);
        }
      },
      theirs, where.peer, warm_up + trips);
  bench::pin(where.self);
  echo.start();
  theirs.close();
  auto blob = ours.build<bench::Blob>(room, [&](bench::Blob::Builder builder) {
    auto words = builder.initWords(static_cast<capnp::uint>(size / sizeof(std::uint64_t)));
    for (capnp::uint i = 0; i < words.size(); ++i) words.set(i, 7);
  });
  double start = 0;
  for (int i = 0; i < warm_up + trips; ++i) {
    if (i == warm_up) start = bench::now();
    ours.send(blob);
    blob = ours.recv<troupe::SharedMessage<bench::Blob>>();
    check(read_ends(blob) == 14, "a message of other contents");
  }
  const double time = (bench::now() - start) / trips / 2 * 1e6;
  echo.join();
  check(echo.exitcode() == 0, "the peer failed");
  return time;
}

double make_pipe_us(int pipes) {
  const double start = bench::now();
  for (int i = 0; i < pipes; ++i) static_cast<void>(troupe::Pipe());
  return (bench::now() - start) / pipes * 1e6;
}

#ifdef TROUPE_ZEROMQ
constexpr const char* kZeroMq = "ZeroMQ, ipc";

class Socket {
 public:
  explicit Socket(int type) : context_(zmq_ctx_new()), socket_(zmq_socket(context_, type)) {
    const int timeout_ms = 30'000;
    zmq_setsockopt(socket_, ZMQ_RCVTIMEO, &timeout_ms, sizeof timeout_ms);
    zmq_setsockopt(socket_, ZMQ_SNDTIMEO, &timeout_ms, sizeof timeout_ms);
  }
  ~Socket() { zmq_close(socket_), zmq_ctx_term(context_); }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  [[nodiscard]] void* get() const { return socket_; }

 private:
  void* context_;
  void* socket_;
};

double zeromq_rate(const bench::Placement& where, std::size_t size, int frames) {
  static int number = 0;
  const std::string address = "ipc://@troupe-bench-" + std::to_string(::getpid()) + "-" + std::to_string(++number);
  bench::Child sender(where.peer, [&] {
    const Socket out(ZMQ_PUSH);
    check(zmq_connect(out.get(), address.c_str()) == 0, "zmq_connect");
    for (int i = 0; i < frames; ++i) {
      zmq_msg_t message;
      zmq_msg_init_size(&message, size);
      std::memset(zmq_msg_data(&message), 7, size);
      check(zmq_msg_send(&message, out.get(), 0) >= 0, "zmq_msg_send");
    }
  });
  bench::pin(where.self);
  const Socket in(ZMQ_PULL);
  check(zmq_bind(in.get(), address.c_str()) == 0, "zmq_bind");
  double start = 0;
  for (int i = 0; i < frames; ++i) {
    zmq_msg_t message;
    zmq_msg_init(&message);
    int received = 0;
    do received = zmq_msg_recv(&message, in.get(), 0);
    while (received < 0 && errno == EINTR);
    if (received != static_cast<int>(size)) throw std::runtime_error(std::string("zmq_msg_recv: ") + (received < 0 ? zmq_strerror(errno) : "a message of " + std::to_string(received) + " bytes"));
    zmq_msg_close(&message);
    if (i == 0) start = bench::now();
  }
  const double rate = (frames - 1) / (bench::now() - start);
  sender.join();
  return rate;
}
#else
constexpr const char* kZeroMq = "ZeroMQ, ipc (not there when this was built: libzmq3-dev)";
double zeromq_rate(const bench::Placement&, std::size_t, int) { throw std::runtime_error("built without libzmq3-dev"); }
#endif

}  // namespace

int main(int argc, char** argv) {
  const troupe::Program program(argc, argv);
  bench::Suite suite("pipe", argc, argv);
  for (const auto& where : {bench::Placement::both(), bench::Placement::one()}) {
    suite.compare({.name = "64 B, one way, " + where.name,
                   .unit = "frames/s",
                   .ours = [=] { return pipe_rate(where, kSmall, 3'000'000); },
                   .theirs = [=] { return bench::bare_ring_rate(where, kSmall, 5'000'000); },
                   .peer = "bare one-writer ring",
                   .target = bench::at_least(0.7)});
    suite.compare({.name = "64 B, one way, " + where.name,
                   .unit = "frames/s",
                   .ours = [=] { return pipe_rate(where, kSmall, 3'000'000); },
                   .theirs = [=] { return zeromq_rate(where, kSmall, 300'000); },
                   .peer = kZeroMq,
                   .target = bench::at_least(5)});
    suite.compare({.name = "1 MiB, one way, copied, " + where.name,
                   .unit = "frames/s",
                   .ours = [=] { return pipe_rate(where, kLarge, 1000); },
                   .theirs = [=] { return zeromq_rate(where, kLarge, 300); },
                   .peer = kZeroMq,
                   .target = bench::at_least(5)});
    suite.measure({.name = "values (int, double, string), one way, " + where.name, .unit = "values/s", .ours = [=] {
                     return value_rate(where, 1'000'000);
                   }});
  }
  const auto one = bench::Placement::one();
  suite.compare({.name = "64 B, round trip, one CPU",
                 .unit = "us",
                 .ours = [=] { return round_trip_us(one, 20'000); },
                 .theirs = [=] { return bench::futex_round_trip_us(one, 20'000); },
                 .peer = "futex",
                 .target = bench::at_most(1.5)});
  const auto both = bench::Placement::both();
  const std::string spinning = "64 B, round trip, two CPUs";
  const double lines = suite.wanted(spinning) ? 2 * bench::spinning_round_trip_us(both, 100'000) : 0;
  suite.measure({.name = spinning,
                 .unit = "us",
                 .ours = [=] { return round_trip_us(both, 200'000); },
                 .target = bench::at_most(1.5 + lines)});
  constexpr std::size_t kGigabyte = std::size_t{1} << 30;
  for (const auto& where : {both, one}) {
    const auto small = [=] { return hand_over_us(where, kSmall, 20'000); };
    suite.compare({.name = "zero-copy hand-over of a built message of 4 MiB, " + where.name,
                   .unit = "us",
                   .ours = [=] { return hand_over_us(where, 4 * kLarge, 20'000); },
                   .theirs = small,
                   .peer = "the same of 64 B",
                   .target = bench::at_most(1.3)});
    if (free_memory() < 4 * kGigabyte) continue;
    suite.compare({.name = "zero-copy hand-over of a built message of 1 GiB, " + where.name,
                   .unit = "us",
                   .ours = [=] { return hand_over_us(where, kGigabyte, 20'000); },
                   .theirs = small,
                   .peer = "the same of 64 B",
                   .target = bench::at_most(1.5)});
  }
  suite.measure({.name = "64 B, send and receive in one process", .unit = "ns", .ours = [] { return alone_ns(2'000'000); }});
  suite.measure({.name = "make a pipe, and drop it", .unit = "us", .ours = [] { return make_pipe_us(500); }});
  return suite.finish();
}
