#include "sync/scenarios.h"

#include <algorithm>
#include <mutex>
#include <utility>

#include "support/stepper.h"
#include "sync/barrier.h"
#include "sync/condition.h"
#include "sync/event.h"
#include "sync/semaphore.h"
#include "sync/value.h"

namespace troupe::test {
namespace {

using namespace sync;
using Memory = Scenario::Memory;

// Of the victim, behind the primitive: it came so far.
Word& progress(Memory memory) { return *reinterpret_cast<Word*>(memory.data() + memory.size() - sizeof(Word)); }

std::string wrong_if(bool wrong, const char* what) { return wrong ? what : ""; }

template <class Mutex>
void pass_through(Mutex mutex) {
  const std::scoped_lock hold(mutex);
}

template <class L>
std::string lock_is_free(Memory memory) {
  L lock(memory, kHelper);
  if (!lock.waits().empty()) return "a waiter is left";
  if (!lock.acquire(false)) return "the lock is not free";
  lock.release();
  lock.acquire();
  return wrong_if(lock.abandoned(), "abandoned, after somebody released it");
}

template <class L>
void release_if_held(Memory memory) {
  L lock(memory, kHelper);
  if (lock.held_by_me()) lock.release();
}

template <class L>
Scenario lock_scenario(const char* name, std::function<void(Memory)> victim) {
  return {.name = name,
          .size = L::memory_size(kUsers),
          .prepare = [](Memory memory) { L::format(memory, kUsers); },
          .victim = std::move(victim),
          .survivor = [](Memory memory, Slot me) { pass_through(L(memory, me)); },
          .check = lock_is_free<L>};
}

template <class L>
void acquire_and_release(Memory memory) {
  L lock(memory, kVictim);
  mark();
  lock.acquire();
  lock.release();
  mark();
}

std::vector<Scenario> lock_scenarios() {
  auto release = lock_scenario<Lock>("Lock: release to sleepers", [](Memory memory) {
    Lock lock(memory, kVictim);
    lock.acquire();
    mark();
    lock.release();
    mark();
  });
  auto in_line = lock_scenario<Lock>("Lock: acquire in line", acquire_and_release<Lock>);
  in_line.prepare = [](Memory memory) {
    Lock::format(memory, kUsers);
    Lock(memory, kHelper).acquire();
  };
  in_line.when_blocked = in_line.finish = release_if_held<Lock>;
  auto late = in_line;
  late.name = "Lock: acquire too late";
  late.victim = [](Memory memory) {
    Lock lock(memory, kVictim);
    mark();
    lock.acquire(true, Duration::zero());
    mark();
  };
  auto woken = in_line;
  woken.name = "Lock: woken";
  woken.victim_sleeps_first = true;
  woken.meanwhile = release_if_held<Lock>;
  auto nested = lock_scenario<RLock>("RLock: acquired twice", [](Memory memory) {
    RLock lock(memory, kVictim);
    lock.acquire();
    mark();
    lock.acquire();
    lock.release();
    lock.release();
    mark();
  });
  Scenario value{.name = "Value: one more",
                 .size = Value<int>::memory_size(kUsers),
                 .prepare = [](Memory memory) { Value<int>::format(memory, kUsers); },
                 .victim =
                     [](Memory memory) {
                       Value<int> counter(memory, kVictim);
                       counter.get_lock().acquire();
                       mark();
                       counter.value() += 1;
                       progress(memory) = 1;
                       counter.get_lock().release();
                       mark();
                     },
                 .survivor =
                     [](Memory memory, Slot me) {
                       Value<int> counter(memory, me);
                       const std::scoped_lock hold(counter.get_lock());
                       counter.value() += 1;
                     },
                 .check =
                     [](Memory memory) {
                       const int sum = Value<int>(memory, kHelper).get();
                       return wrong_if(sum < 2 + static_cast<int>(progress(memory).load()) || sum > 3, "a wrong sum");
                     }};
  return {release, in_line, late, woken, nested, value};
}

template <class S>
Scenario semaphore_scenario(const char* name, std::uint32_t value, std::function<void(Memory)> victim) {
  return {.name = name,
          .size = S::memory_size(kUsers),
          .prepare = [=](Memory memory) { S::format(memory, kUsers, value); },
          .victim = std::move(victim),
          .survivor =
              [](Memory memory, Slot me) {
                S semaphore(memory, me);
                semaphore.acquire();
                semaphore.release();
              },
          .check =
              [=](Memory memory) {
                S semaphore(memory, kHelper);
                if (semaphore.n_waiting() != 0) return "a waiter is left";
                return semaphore.get_value() == value ? "" : "a permit is lost, or one too many";
              }};
}

std::vector<Scenario> semaphore_scenarios() {
  auto release = semaphore_scenario<BoundedSemaphore>("BoundedSemaphore: release to sleepers", 1, [](Memory memory) {
    BoundedSemaphore semaphore(memory, kVictim);
    semaphore.acquire();
    mark();
    semaphore.release();
    mark();
  });
  auto woken = semaphore_scenario<Semaphore>("Semaphore: woken", 1, [](Memory memory) {
    Semaphore semaphore(memory, kVictim);
    mark();
    semaphore.acquire();
    semaphore.release();
    mark();
  });
  const auto prepare = woken.prepare;
  woken.prepare = [=](Memory memory) {
    prepare(memory);
    Semaphore(memory, kHelper).acquire();
  };
  woken.victim_sleeps_first = true;
  woken.meanwhile = [](Memory memory) { Semaphore(memory, kHelper).release(); };
  auto in_line = woken;
  in_line.name = "Semaphore: acquire in line";
  in_line.victim_sleeps_first = false;
  in_line.meanwhile = {};
  in_line.when_blocked = in_line.finish = [](Memory memory) {
    Semaphore semaphore(memory, kHelper);
    if (semaphore.held_by(kHelper) != 0) semaphore.release();
  };
  auto late = in_line;
  late.name = "Semaphore: acquire too late";
  late.victim = [](Memory memory) {
    Semaphore semaphore(memory, kVictim);
    mark();
    semaphore.acquire(true, Duration::zero());
    mark();
  };
  auto signal = semaphore_scenario<Semaphore>("Semaphore: two new permits", 0, [](Memory memory) {
    Semaphore semaphore(memory, kVictim);
    mark();
    semaphore.release(2);
    progress(memory) = 1;
    mark();
  });
  signal.survivor = [](Memory memory, Slot me) { Semaphore(memory, me).acquire(); };
  signal.must_have_ended = [](Memory memory) { return progress(memory).load() == 1 ? 2 : 0; };
  signal.finish = [](Memory memory) { Semaphore(memory, kHelper).release(2); };
  signal.check = [](Memory memory) {
    const auto value = Semaphore(memory, kHelper).get_value();
    return wrong_if(value != 0 && value != 2, "half of a release");
  };
  // The victim settles the affairs of one who died while the victim was in the way.
  constexpr Slot long_dead = 4;
  auto settle = semaphore_scenario<Semaphore>("Semaphore: settling for another", 2, [](Memory memory) {
    Semaphore semaphore(memory, kVictim);
    semaphore.acquire();
    mark();
    semaphore.release();
    mark();
  });
  settle.prepare = [](Memory memory) {
    Semaphore::format(memory, kUsers, 2);
    Semaphore(memory, long_dead).acquire();
  };
  settle.meanwhile = [](Memory memory) {
    Parts parts(memory);
    auto* guard = parts.next<GuardPart>();
    parts.next<SemaphorePart>();
    parts.next<SemaphoreUser>(kUsers)[long_dead].note = static_cast<std::uint32_t>(End::died);
    guard->pending = 1;
  };
  settle.finish = [](Memory memory) {  // nobody had to leave after the note, if the victim died first
    Semaphore semaphore(memory, kHelper);
    if (semaphore.acquire(false)) semaphore.release();
  };
  return {release, woken, in_line, late, signal, settle};
}

Scenario event_scenario(const char* name, std::function<void(Memory)> victim) {
  return {.name = name,
          .size = Event::memory_size(kUsers),
          .prepare = [](Memory memory) { Event::format(memory, kUsers); },
          .victim = std::move(victim),
          .survivor = [](Memory memory, Slot me) { Event(memory, me).wait(); },
          .must_have_ended =
              [](Memory memory) {
                constexpr std::uint32_t one_set = 4;
                return Parts(memory).next<EventPart>()->word < one_set ? 0 : kSurvivors;
              },
          .finish = [](Memory memory) { Event(memory, kHelper).set(); }};
}

std::vector<Scenario> event_scenarios() {
  return {event_scenario("Event: set",
                         [](Memory memory) {
                           Event event(memory, kVictim);
                           mark();
                           event.set();
                           mark();
                         }),
          event_scenario("Event: wait too long, set, clear", [](Memory memory) {
            Event event(memory, kVictim);
            mark();
            event.wait(Duration::zero());
            event.set();
            event.clear();
            mark();
          })};
}

Scenario condition_scenario(const char* name, std::function<void(Memory)> victim) {
  return {.name = name,
          .size = Condition::memory_size(kUsers, kUsers),
          .prepare = [](Memory memory) { Condition::format(memory, kUsers, kUsers); },
          .victim = std::move(victim),
          .survivor =
              [](Memory memory, Slot me) {
                Condition condition(memory, me);
                const std::scoped_lock hold(condition);
                condition.wait();
              },
          .check =
              [](Memory memory) {
                Condition condition(memory, kHelper);
                if (condition.n_waiting() != 0) return "a waiter is left";
                return condition.acquire(false) ? "" : "its lock is not free";
              }};
}

void notify_from_helper(Memory memory, std::uint32_t n) {
  Condition condition(memory, kHelper);
  const std::scoped_lock hold(condition);
  condition.notify(n);
}

// Notifies, while the survivors wait. Dead before it had the lock, it owed nobody anything; dead with it, all are told.
Scenario notifying(const char* name, std::uint32_t n) {
  auto scenario = condition_scenario(name, [=](Memory memory) {
    Condition condition(memory, kVictim);
    mark();
    condition.acquire();
    progress(memory) = 1;
    condition.notify(n);
    condition.release();
    mark();
  });
  scenario.must_have_ended = [=](Memory memory) {
    return progress(memory).load() == 0 ? 0 : std::min<std::size_t>(n, kSurvivors);
  };
  scenario.finish = [](Memory memory) { notify_from_helper(memory, kUsers); };
  return scenario;
}

std::vector<Scenario> condition_scenarios() {
  auto woken = condition_scenario("Condition: notified", [](Memory memory) {
    Condition condition(memory, kVictim);
    condition.acquire();
    mark();
    condition.wait();
    progress(memory) = 1;
    condition.release();
    mark();
  });
  woken.victim_sleeps_first = true;
  woken.meanwhile = [](Memory memory) { notify_from_helper(memory, 1); };
  woken.must_have_ended = [](Memory memory) { return progress(memory).load() == 0 ? 1 : 0; };  // another is told instead
  woken.finish = [](Memory memory) { notify_from_helper(memory, kUsers); };

  auto waits = condition_scenario("Condition: wait", [](Memory memory) {
    Condition condition(memory, kVictim);
    mark();
    condition.acquire();
    condition.wait();
    condition.release();
    mark();
  });
  waits.when_blocked = waits.finish = woken.finish;
  auto late = waits;
  late.name = "Condition: wait too long";
  late.victim = [](Memory memory) {
    Condition condition(memory, kVictim);
    mark();
    condition.acquire();
    condition.wait(Duration::zero());
    condition.release();
    mark();
  };
  return {notifying("Condition: notify", 1), notifying("Condition: notify_all", kUsers), woken, waits, late};
}

Scenario barrier_scenario(const char* name, std::uint32_t parties, std::function<void(Memory)> victim) {
  return {.name = name,
          .size = Barrier::memory_size(kUsers, parties),
          .prepare = [=](Memory memory) { Barrier::format(memory, kUsers, parties); },
          .victim = std::move(victim),
          .survivor =
              [](Memory memory, Slot me) {
                try {
                  Barrier(memory, me).wait();
                } catch (const BrokenBarrierError& error) {
                  if (error.culprit() != kVictim) throw;
                }
              },
          .check =
              [](Memory memory) {
                Barrier barrier(memory, kHelper);
                if (barrier.culprit() != kVictim) return "the dead is not named";
                barrier.reset();
                if (barrier.broken() || barrier.n_waiting() != 0) return "not new after reset()";
                return "";
              }};
}

std::vector<Scenario> barrier_scenarios() {
  auto last = barrier_scenario("Barrier: the last to arrive", 3, [](Memory memory) {
    Barrier barrier(memory, kVictim, {.action = [] {}});
    barrier.enlist(kVictim);
    mark();
    barrier.wait();
    mark();
  });
  auto late = barrier_scenario("Barrier: too late", 4, [](Memory memory) {
    Barrier barrier(memory, kVictim);
    barrier.enlist(kVictim);
    mark();
    try {
      barrier.wait(Duration::zero());
    } catch (const BrokenBarrierError&) {
    }
    mark();
  });
  late.survivor = [](Memory memory, Slot me) {
    try {
      Barrier(memory, me).wait();
    } catch (const BrokenBarrierError&) {
    }
  };
  late.check = [](Memory memory) {
    Barrier barrier(memory, kHelper);
    if (!barrier.broken()) return "not broken";
    barrier.reset();
    return barrier.broken() || barrier.n_waiting() != 0 ? "not new after reset()" : "";
  };
  auto abort = late;
  abort.name = "Barrier: abort";
  abort.victim = [](Memory memory) {
    Barrier barrier(memory, kVictim);
    barrier.enlist(kVictim);
    mark();
    barrier.abort();
    mark();
  };
  auto reset = abort;
  reset.name = "Barrier: reset";
  reset.victim = [](Memory memory) {
    Barrier barrier(memory, kVictim);
    barrier.enlist(kVictim);
    mark();
    barrier.reset();
    mark();
  };
  auto first = barrier_scenario("Barrier: the first to arrive", 4, [](Memory memory) {
    Barrier barrier(memory, kVictim);
    mark();
    barrier.wait();
    mark();
  });
  first.victim_sleeps_first = true;
  first.meanwhile = [](Memory memory) { Barrier(memory, kHelper).wait(); };
  first.survivor = [](Memory memory, Slot me) { Barrier(memory, me).wait(); };  // all had arrived: that is not taken back
  return {last, late, abort, reset, first};
}

}  // namespace

std::vector<Scenario> scenarios() {
  std::vector<Scenario> all;
  for (auto some : {lock_scenarios(), semaphore_scenarios(), event_scenarios(), condition_scenarios(), barrier_scenarios()}) {
    all.insert(all.end(), some.begin(), some.end());
  }
  return all;
}

}  // namespace troupe::test
