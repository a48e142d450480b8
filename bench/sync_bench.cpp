// Locks, values, semaphores and events in shared memory, against the kernel's own means and Python's.
#include <pthread.h>

#include <cstdlib>
#include <mutex>
#include <stdexcept>
#include <string>

#include <fmt/format.h>

#include "harness.h"
#include "os/futex.h"
#include "os/memory.h"
#include "sync/event.h"
#include "sync/semaphore.h"
#include "sync/value.h"

namespace {

using namespace troupe::sync;
using bench::Placement;

constexpr std::uint32_t kUsers = 64;

struct Memory {
  explicit Memory(std::size_t size) : mapping(troupe::os::make_shared_memory("bench", size), size) {}
  operator std::span<std::byte>() const { return mapping.bytes(); }  // NOLINT: stands for its bytes
  troupe::os::Mapping mapping;
};

// ns for one call of `work`.
template <class Work>
double nanoseconds(int times, Work work) {
  const double start = bench::now();
  for (int i = 0; i < times; ++i) work();
  return (bench::now() - start) / times * 1e9;
}

template <class L>
double lock_pairs_rate(int pairs) {
  bench::pin(Placement::one().self);
  Memory memory(L::memory_size(kUsers));
  L::format(memory, kUsers);
  L lock(memory, 0);
  return 1e9 / nanoseconds(pairs, [&] {
           lock.acquire();
           lock.release();
         });
}

double semaphore_pairs_rate(int pairs) {
  bench::pin(Placement::one().self);
  Memory memory(Semaphore::memory_size(kUsers));
  Semaphore::format(memory, kUsers);
  Semaphore semaphore(memory, 0);
  return 1e9 / nanoseconds(pairs, [&] {
           semaphore.acquire();
           semaphore.release();
         });
}

double robust_mutex_pairs_rate(int pairs) {
  bench::pin(Placement::one().self);
  bench::Shared<pthread_mutex_t> mutex;
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  pthread_mutex_init(&*mutex, &attributes);
  return 1e9 / nanoseconds(pairs, [&] {
           pthread_mutex_lock(&*mutex);
           pthread_mutex_unlock(&*mutex);
         });
}

// One more, under the lock, by `processes` at a time: additions a second of all of them.
double additions_rate(const Placement& where, int processes, int times) {
  Memory memory(Value<long>::memory_size(kUsers));
  Value<long>::format(memory, kUsers);
  const auto add = [&](Slot me) {
    Value<long> value(memory, me);
    for (int i = 0; i < times; ++i) {
      const std::scoped_lock hold(value.get_lock());
      value.value() += 1;
    }
  };
  bench::pin(where.self);
  bench::Shared<std::atomic<int>> ready;
  const auto together = [&] {
    ++*ready;
    while (*ready < processes) sched_yield();
  };
  double start = 0;
  if (processes == 1) {
    start = bench::now();
    add(0);
  } else {
    bench::Child other(where.peer, [&] {
      together();
      add(1);
    });
    together();
    start = bench::now();
    add(0);
    other.join();
  }
  const double rate = processes * times / (bench::now() - start);
  if (Value<long>(memory, 0).get() != static_cast<long>(processes) * times) throw std::runtime_error("an addition is lost");
  return rate;
}

// Mean time in µs for one to wake another that wakes it in turn: half a round trip, by two of whatever `Signal` is.
template <class Signal>
double wake_us(const Placement& where, int trips) {
  Signal there, back;
  bench::pin(where.self);
  bench::Child peer(where.peer, [&] {
    for (int i = 0; i < trips; ++i) {
      there.wait(1);
      back.raise(1);
    }
  });
  const double start = bench::now();
  for (int i = 0; i < trips; ++i) {
    there.raise(0);
    back.wait(0);
  }
  const double us = (bench::now() - start) / trips / 2 * 1e6;
  peer.join();
  return us;
}

class EventSignal {
 public:
  EventSignal() : memory_(Event::memory_size(kUsers)) { Event::format(memory_, kUsers); }
  void raise(Slot me) { Event(memory_, me).set(); }
  void wait(Slot me) {
    Event event(memory_, me);
    event.wait();
    event.clear();
  }

 private:
  Memory memory_;
};

// What there is without us: a flag, and the kernel asked each time.
class FutexSignal {
 public:
  void raise(Slot) {
    word_->store(1, std::memory_order_release);
    troupe::os::futex_wake(*word_, 1);
  }
  void wait(Slot) {
    while (word_->load(std::memory_order_acquire) == 0) troupe::os::futex_wait(*word_, 0);
    word_->store(0, std::memory_order_relaxed);
  }

 private:
  bench::Shared<std::atomic<std::uint32_t>> word_;
};

// Runs Python, which prints one number.
double python(const std::string& program) {
  const std::string command = "python3 -c '" + program + "' 2>/dev/null";
  FILE* output = popen(command.c_str(), "r");
  if (output == nullptr) throw std::runtime_error("cannot run python3");
  double number = 0;
  const bool read = fscanf(output, "%lf", &number) == 1;
  if (pclose(output) != 0 || !read) throw std::runtime_error("python3 did not tell a number");
  return number;
}

constexpr const char* kPythonLock = R"(
import time, multiprocessing as mp
lock = mp.Lock()
acquire, release = lock.acquire, lock.release
start = time.perf_counter()
for _ in range(300000):
    acquire(); release()
print(300000 / (time.perf_counter() - start)))";

std::string python_additions(int processes, int times) {
  return fmt::format(R"(
import os, time, multiprocessing as mp
value = mp.Value("l", 0)
together = mp.Barrier({0})
def add():
    together.wait()
    lock = value.get_lock()
    for _ in range({1}):
        with lock:
            value.value += 1
others = [mp.get_context("fork").Process(target=add) for _ in range({0} - 1)]
for other in others: other.start()
start = time.perf_counter()
add()
for other in others: other.join()
print({0} * {1} / (time.perf_counter() - start)))",
                     processes, times);
}

}  // namespace

int main(int argc, char** argv) {
  using bench::at_least, bench::at_most;
  bench::Suite suite("sync", argc, argv);
  constexpr int pairs = 10'000'000;

  suite.compare({.name = "Lock, uncontended acquire and release",
                 .unit = "pairs/s",
                 .ours = [] { return lock_pairs_rate<Lock>(pairs); },
                 .theirs = [] { return robust_mutex_pairs_rate(pairs); },
                 .peer = "bare robust mutex",
                 .target = at_least(0.7)});
  suite.compare({.name = "Lock, uncontended, against Python",
                 .unit = "pairs/s",
                 .ours = [] { return lock_pairs_rate<Lock>(pairs); },
                 .theirs = [] { return python(kPythonLock); },
                 .peer = "multiprocessing.Lock",
                 .target = at_least(3)});
  suite.measure({.name = "RLock, uncontended", .unit = "pairs/s", .ours = [] { return lock_pairs_rate<RLock>(pairs); }});
  suite.measure({.name = "Semaphore, uncontended", .unit = "pairs/s", .ours = [] { return semaphore_pairs_rate(pairs); }});

  for (const auto& where : {Placement::both(), Placement::one()}) {
    for (const int processes : {1, 2}) {
      if (processes == 1 && where.self != where.peer) continue;
      suite.compare(
          {.name = fmt::format("Value +=, under its lock, {} process{}, {}", processes, processes > 1 ? "es" : "", where.name),
           .unit = "additions/s",
           .ours = [=] { return additions_rate(where, processes, 1'000'000); },
           .theirs =
               [=] {
                 bench::pin(processes == 2 && where.self != where.peer ? -1 : where.self);
                 return python(python_additions(processes, 50'000));
               },
           .peer = "multiprocessing.Value",
           .target = at_least(10)});
    }
    suite.compare({.name = "Event, set to wake, " + where.name,
                   .unit = "µs",
                   .ours = [=] { return wake_us<EventSignal>(where, 20'000); },
                   .theirs = [=] { return wake_us<FutexSignal>(where, 20'000); },
                   .peer = "futex wake",
                   .target = where.self == where.peer ? std::optional(at_most(1.5)) : std::nullopt});
  }
  return suite.finish();
}
