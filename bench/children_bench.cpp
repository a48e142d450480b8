// Many processes at once: started and stopped, idle, and told of a death; against the bare system calls.

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <deque>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include <troupe/actor_process.h>
#include <troupe/program.h>

#include "children_bench.capnp.h"
#include "erlang.h"
#include "harness.h"
#include "proc.h"

namespace {

constexpr int kMany = 1000;
constexpr int kWaiters = 100;
constexpr auto kLong = std::chrono::seconds(30);

// What all processes of this benchmark share: made before the tree.
struct Board {
  std::atomic<int> alive;
  std::atomic<int> told;
  std::atomic<double> told_at[kWaiters];
};
Board* board = nullptr;

template <class Condition>
void wait_until(Condition condition) {
  const double deadline = bench::now() + std::chrono::duration<double>(kLong).count();
  while (!condition()) {
    if (bench::now() > deadline) throw std::runtime_error("some process is missing");
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
}

[[noreturn]] void idle() {
  board->alive.fetch_add(1);
  while (true) ::pause();
}

// Seconds from the first start until all run, and from the first signal until all are waited for.
struct Times {
  double start = 0;
  double stop = 0;
};

template <class Start, class Stop>
Times start_and_stop(int count, Start start, Stop stop) {
  board->alive = 0;
  const double begin = bench::now();
  start();
  wait_until([&] { return board->alive == count; });
  const double middle = bench::now();
  stop();
  return {middle - begin, bench::now() - middle};
}

Times ours(int count) {
  std::deque<troupe::Process> children;
  return start_and_stop(
      count,
      [&] {
        for (int i = 0; i < count; ++i) children.emplace_back(idle).start();
      },
      [&] {
        for (auto& child : children) child.terminate();
        for (auto& child : children) child.join();
      });
}

Times bare(int count) {
  const bench::Shared<Times> times;
  bench::Child parent(-1, [&] {
    std::vector<pid_t> children;
    *times = start_and_stop(
        count,
        [&] {
          for (int i = 0; i < count; ++i) {
            const pid_t pid = fork();
            if (pid == 0) idle();
            children.push_back(pid);
          }
        },
        [&] {
          for (const pid_t child : children) kill(child, SIGTERM);
          for (const pid_t child : children) waitpid(child, nullptr, 0);
        });
  });
  parent.join();
  return *times;
}

// Of root, with many children that idle.
struct RootFigures {
  double resident_mib = 0;
  double wake_ups = 0;
};

RootFigures root_with_many() {
  const pid_t root = getppid();
  std::deque<troupe::Process> children;
  RootFigures figures;
  start_and_stop(
      kMany,
      [&] {
        for (int i = 0; i < kMany; ++i) children.emplace_back(idle).start();
      },
      [&] {
        std::this_thread::sleep_for(std::chrono::seconds(2));  // what there was to do is done, and the spare has ended
        const long before = bench::switches_of(root);
        std::this_thread::sleep_for(std::chrono::seconds(2));
        figures = {static_cast<double>(bench::status_of(root, "VmRSS")) / 1024,
                   static_cast<double>(bench::switches_of(root) - before)};
        for (auto& child : children) child.terminate();
        for (auto& child : children) child.join();
      });
  return figures;
}

class Victim : public troupe::Actor {
 public:
  explicit Victim(troupe::Context& context) : Actor(context) {
    on<Ping, Done>([](Ping::Reader, Done::Builder) {});
  }
};

// Monitors whom it is told to, and writes down when it hears of the end.
class Waiter : public troupe::Actor {
 public:
  Waiter(troupe::Context& context, int number) : Actor(context) {
    on<Watch, Done>([this, number](Watch::Reader watch, troupe::Responder<Done> reply) {
      const troupe::Address whom = watch.getWhom();
      monitor(whom, [number](const troupe::Death&) {
        board->told_at[number] = bench::now();
        board->told.fetch_add(1);
      });
      // What it answers it says after it has been told of the monitor.
      ask<Ping, Done>(whom).then([reply = std::move(reply)](Done::Reader) mutable { reply.reply([](Done::Builder) {}); });
    });
  }
};

// From SIGKILL until the last of the waiters, each a process, is told: of a hundred deaths the next to longest.
double last_told_ms() {
  constexpr int kDeaths = 100;
  std::vector<troupe::ActorProcess> waiters;
  for (int i = 0; i < kWaiters; ++i) waiters.push_back(troupe::start_process<Waiter>({.name = "waiter"}, i));
  std::vector<double> times;
  for (int i = 0; i < kDeaths; ++i) {
    auto victim = troupe::start_process<Victim>({.name = "victim"});
    std::vector<troupe::Answer<Done>> watching;
    for (auto& waiter : waiters)
      watching.push_back(
          troupe::ask<Watch, Done>(waiter.address(), [&](Watch::Builder watch) { victim.address().write(watch.initWhom()); }));
    for (auto& answer : watching) answer.get(kLong);
    board->told = 0;
    const pid_t pid = victim.pid().value();
    const double begin = bench::now();
    kill(pid, SIGKILL);
    wait_until([] { return board->told == kWaiters; });
    double last = begin;
    for (const auto& at : board->told_at) last = std::max(last, at.load());
    times.push_back(last - begin);
    victim.join();
    std::this_thread::sleep_for(std::chrono::milliseconds(50));  // what there is to clear away is not part of the next
  }
  for (auto& waiter : waiters) waiter.terminate();
  for (auto& waiter : waiters) waiter.join();
  std::ranges::sort(times);
  return times[kDeaths * 99 / 100 - 1] * 1e3;
}

}  // namespace

int main(int argc, char** argv) {
  const bench::Shared<Board> shared;
  board = &*shared;
  const troupe::Program program(argc, argv);
  bench::Suite suite("children", argc, argv);
  const std::string peer = "bare fork and wait";
  suite.compare({.name = "1,000 idle children, start all",
                 .unit = "s",
                 .ours = [] { return ours(kMany).start; },
                 .theirs = [] { return bare(kMany).start; },
                 .peer = peer,
                 .target = bench::at_most(2)});
  suite.compare({.name = "1,000 idle children, stop all",
                 .unit = "s",
                 .ours = [] { return ours(kMany).stop; },
                 .theirs = [] { return bare(kMany).stop; },
                 .peer = peer,
                 .target = bench::at_most(2)});
  const auto us_per_child = [](int count) {
    const Times times = ours(count);
    return (times.start + times.stop) / count * 1e6;
  };
  suite.compare({.name = "start and stop, each of 1,000",
                 .unit = "us",
                 .ours = [=] { return us_per_child(kMany); },
                 .theirs = [=] { return us_per_child(10); },
                 .peer = "each of 10",
                 .target = bench::at_most(1.2)});
  suite.measure({.name = "root with 1,000 children, resident",
                 .unit = "MiB",
                 .ours = [] { return root_with_many().resident_mib; },
                 .target = bench::at_most(20),
                 .once = true});
  suite.measure({.name = "root with 1,000 children, wake-ups in 2 s",
                 .unit = "",
                 .ours = [] { return root_with_many().wake_ups; },
                 .target = bench::at_most(0),
                 .once = true});
  suite.measure(
      {.name = "death to the last of 100 waiters told, p99", .unit = "ms", .ours = last_told_ms, .target = bench::at_most(10)});
  if (bench::erlang_is_here())
    suite.compare({.name = "the same, beside Erlang",
                   .unit = "ms",
                   .ours = last_told_ms,
                   .theirs = [] { return bench::erlang("waiters"); },
                   .peer = "100 processes of Erlang's own, in one of the system's"});
  return suite.finish();
}
