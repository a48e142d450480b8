#include "peers.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <system_error>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace bench {
namespace {

[[noreturn]] void fail(const char* what) { throw std::system_error(errno, std::generic_category(), what); }

constexpr std::size_t kCacheLine = 64;

// Waits until `ready()`; where the peer needs our CPU to get on, by giving it away.
template <class Ready>
void spin(bool same_cpu, Ready ready) {
  while (!ready())
    if (same_cpu) sched_yield();
}

template <std::size_t kSlots, std::size_t kBytes>
struct Ring {
  alignas(kCacheLine) std::atomic<std::uint64_t> head{0};
  alignas(kCacheLine) std::atomic<std::uint64_t> tail{0};
  alignas(kCacheLine) char slot[kSlots][kBytes];
};

template <std::size_t kSlots, std::size_t kBytes>
double ring_rate(const Placement& where, std::uint64_t frames) {
  Shared<Ring<kSlots, kBytes>> ring;
  const bool same_cpu = where.self == where.peer;
  pin(where.self);
  Child writer(where.peer, [&] {
    auto frame = std::make_unique<char[]>(kBytes);
    std::memset(frame.get(), 7, kBytes);
    std::uint64_t tail_seen = 0;
    for (std::uint64_t i = 0; i < frames; ++i) {
      spin(same_cpu,
           [&] { return i - tail_seen < kSlots || i - (tail_seen = ring->tail.load(std::memory_order_acquire)) < kSlots; });
      std::memcpy(ring->slot[i % kSlots], frame.get(), kBytes);
      ring->head.store(i + 1, std::memory_order_release);
    }
  });
  auto frame = std::make_unique<char[]>(kBytes);
  std::uint64_t head_seen = 0;
  double start = 0;
  for (std::uint64_t i = 0; i < frames; ++i) {
    spin(same_cpu, [&] { return i < head_seen || i < (head_seen = ring->head.load(std::memory_order_acquire)); });
    if (i == 0) start = now();
    std::memcpy(frame.get(), ring->slot[i % kSlots], kBytes);
    keep(*frame.get());
    ring->tail.store(i + 1, std::memory_order_release);
  }
  const double rate = static_cast<double>(frames) / (now() - start);
  writer.join();
  return rate;
}

// A signal that carries a count: post(n) lets wait(n) return.
struct Futex {
  alignas(kCacheLine) std::atomic<std::uint32_t> value{0};
  void post(std::uint32_t n) {
    value.store(n);
    syscall(SYS_futex, &value, FUTEX_WAKE, 1, nullptr, nullptr, 0);
  }
  void wait(std::uint32_t n) {
    for (std::uint32_t seen; (seen = value.load()) != n;) syscall(SYS_futex, &value, FUTEX_WAIT, seen, nullptr, nullptr, 0);
  }
};

struct Spin {
  alignas(kCacheLine) std::atomic<std::uint32_t> value{0};
  void post(std::uint32_t n) { value.store(n, std::memory_order_release); }
  void wait(std::uint32_t n) {
    while (value.load(std::memory_order_acquire) != n) {
    }
  }
};

struct Pipe {
  int ends[2] = {-1, -1};
  Pipe() {
    if (pipe2(ends, O_CLOEXEC) != 0) fail("pipe2");
  }
  ~Pipe() {
    for (const int end : ends)
      if (end >= 0) close(end);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  void close_end(int which) { close(std::exchange(ends[which], -1)); }
  void post(std::uint32_t) {
    if (write(ends[1], "x", 1) != 1) fail("write");
  }
  void wait(std::uint32_t) {
    char byte;
    if (read(ends[0], &byte, 1) != 1) fail("read");
  }
};

// A tenth as many trips warm up first.
template <class Signal>
double round_trip_us(const Placement& where, int trips, Signal& ping, Signal& pong) {
  const int warm_up = trips / 10;
  pin(where.self);
  Child peer(where.peer, [&] {
    for (int i = 1; i <= warm_up + trips; ++i) {
      ping.wait(static_cast<std::uint32_t>(i));
      pong.post(static_cast<std::uint32_t>(i));
    }
  });
  double start = now();
  for (int i = 1; i <= warm_up + trips; ++i) {
    if (i == warm_up + 1) start = now();
    ping.post(static_cast<std::uint32_t>(i));
    pong.wait(static_cast<std::uint32_t>(i));
  }
  const double us = (now() - start) / trips * 1e6;
  peer.join();
  return us;
}

template <class Signal>
struct TwoWay {
  Signal ping, pong;
};

// Moves all `size` bytes by `call`, which may move fewer at a time.
template <class Call, class Byte>
void move_all(const char* name, Call call, int fd, Byte* bytes, std::size_t size) {
  for (std::size_t done = 0; done < size;) {
    const ssize_t moved = call(fd, bytes + done, size - done);
    if (moved == 0) throw std::runtime_error(std::string(name) + ": end of file");
    if (moved < 0 && errno != EINTR) fail(name);
    if (moved > 0) done += static_cast<std::size_t>(moved);
  }
}

double fork_exit_wait(int processes) {
  const double start = now();
  for (int i = 0; i < processes; ++i) {
    const pid_t pid = fork();
    if (pid < 0) fail("fork");
    if (pid == 0) _exit(0);
    int status = 0;
    if (waitpid(pid, &status, 0) != pid) fail("waitpid");
  }
  return processes / (now() - start);
}

}  // namespace

double bare_ring_rate(const Placement& where, std::size_t frame_size, int frames) {
  const auto count = static_cast<std::uint64_t>(frames);
  switch (frame_size) {
    case 64: return ring_rate<1024, 64>(where, count);
    case 1024: return ring_rate<1024, 1024>(where, count);
    case 65536: return ring_rate<64, 65536>(where, count);
    default: throw std::invalid_argument("bare_ring_rate: frames of 64, 1,024 or 65,536 bytes");
  }
}

double bare_pipe_rate(const Placement& where, std::size_t message_size, int messages) {
  Pipe pipe;
  fcntl(pipe.ends[1], F_SETPIPE_SZ, 1 << 20);
  pin(where.self);
  Child writer(where.peer, [&] {
    pipe.close_end(0);
    const std::vector<char> message(message_size, 7);
    for (int i = 0; i < messages; ++i) move_all("write", ::write, pipe.ends[1], message.data(), message_size);
  });
  pipe.close_end(1);
  std::vector<char> message(message_size);
  double start = 0;
  for (int i = 0; i < messages; ++i) {
    move_all("read", ::read, pipe.ends[0], message.data(), message_size);
    if (i == 0) start = now();
  }
  const double rate = (messages - 1) / (now() - start);
  writer.join();
  return rate;
}

double futex_round_trip_us(const Placement& where, int trips) {
  Shared<TwoWay<Futex>> signals;
  return round_trip_us(where, trips, signals->ping, signals->pong);
}

double spinning_round_trip_us(const Placement& where, int trips) {
  if (where.self == where.peer) throw std::invalid_argument("spinning on one CPU only waits for the scheduler");
  Shared<TwoWay<Spin>> signals;
  return round_trip_us(where, trips, signals->ping, signals->pong);
}

double pipe_round_trip_us(const Placement& where, int trips) {
  Pipe ping, pong;
  return round_trip_us(where, trips, ping, pong);
}

SmallProcess::SmallProcess() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) fail("socketpair");
  const pid_t parent = getpid();
  pid_ = fork();
  if (pid_ < 0) fail("fork");
  if (pid_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    close(ends[0]);
    try {
      for (int processes; read(ends[1], &processes, sizeof processes) == sizeof processes;) {
        const double rate = fork_exit_wait(processes);
        if (write(ends[1], &rate, sizeof rate) != sizeof rate) _exit(1);
      }
    } catch (const std::exception&) {
      _exit(1);
    }
    _exit(0);
  }
  close(ends[1]);
  request_ = ends[0];
}

SmallProcess::~SmallProcess() {
  close(request_);
  waitpid(pid_, nullptr, 0);
}

double SmallProcess::fork_exit_wait_rate(int processes) {
  double rate = 0;
  if (write(request_, &processes, sizeof processes) != sizeof processes) fail("small process");
  if (read(request_, &rate, sizeof rate) != sizeof rate) throw std::runtime_error("the small process could not fork");
  return rate;
}

double python_start_join_rate(const char* start_method, int processes) {
  const std::string script = fmt::format(
      "import multiprocessing as m, time, os\n"
      "if __name__ == \"__main__\":\n"
      " c = m.get_context(\"{}\")\n"
      " def one():\n"
      "  p = c.Process(target=os.getpid); p.start(); p.join()\n"
      " one(); t = time.perf_counter()\n"
      " for i in range({}): one()\n"
      " print({} / (time.perf_counter() - t))\n",
      start_method, processes, processes);
  // Debian's own Python, also where another one comes first in PATH.
  const std::string command = "PATH=/usr/bin:$PATH python3 -c '" + script + "' 2>/dev/null";
  const std::unique_ptr<FILE, int (*)(FILE*)> output(popen(command.c_str(), "re"), pclose);
  double rate = 0;
  if (!output || std::fscanf(output.get(), "%lf", &rate) != 1) throw std::runtime_error("python3 did not answer");
  return rate;
}

}  // namespace bench
