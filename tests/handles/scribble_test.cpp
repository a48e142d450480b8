// A process that writes at random over the memory that it shares with others. They get a ProtocolError, and so does everybody who uses that
// thing, from then on, also those who sleep in it; nobody crashes, or takes memory without end, and nobody hangs once it has ended.
//
// What cannot be told from what somebody meant is no error: the bytes of an item, of a frame, of an element, an Event, the count of a
// semaphore; that a process which lives holds a lock. Items and frames are decoded from a copy, so that the worst is a wrong value, or
// the error of one item.

#include <sched.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <random>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <troupe/troupe.h>

#include "handles/shop.capnp.h"
#include "support/catch.h"
#include "support/leftovers.h"

using namespace std::chrono_literals;
using namespace troupe;

namespace {

unsigned chosen_seed() {
  const char* chosen = std::getenv("TROUPE_TEST_SEED");
  return chosen ? static_cast<unsigned>(std::atoi(chosen)) : std::random_device()();
}

struct Place {
  std::uintptr_t begin;
  std::size_t size;
};

// What is mapped here of shared memory whose name begins like that.
std::vector<Place> shared_memory(const std::string& name) {
  std::vector<Place> all;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.find("memfd:" + name) == std::string::npos || line.find("rw-s") == std::string::npos) continue;
    const auto dash = line.find('-');
    const auto begin = std::stoull(line.substr(0, dash), nullptr, 16);
    all.push_back({begin, std::stoull(line.substr(dash + 1), nullptr, 16) - begin});
  }
  return all;
}

// It may have gone meanwhile.
void write(std::uintptr_t place, std::uint64_t value) {
  const iovec from{&value, sizeof value};
  const iovec to{reinterpret_cast<void*>(place), sizeof value};
  ::process_vm_writev(::getpid(), &from, 1, &to, 1, 0);
}

// The beginning of all such memory, where all stands that steers.
void overwrite(const std::string& name, unsigned seed) {
  constexpr std::size_t kMost = 8192;
  std::mt19937_64 random(seed);
  for (const auto& [begin, size] : shared_memory(name))
    for (std::size_t at = 0; at < std::min(size, kMost); at += sizeof(std::uint64_t)) write(begin + at, random());
}

template <class Error, class Work>
bool throws(Work work) {
  try {
    work();
  } catch (const Error&) {
    return true;
  } catch (const std::exception&) {
  }
  return false;
}

bool is_asleep(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  std::getline(file, text);
  const auto name_end = text.rfind(')');
  return name_end != std::string::npos && text.size() > name_end + 2 && text[name_end + 2] == 'S';
}

std::string end_of(Process& process) {
  process.join();
  return process.death()->describe();
}

// One process sleeps in `theirs`, another overwrites all that it has of the thing, and dies. Then the sleeper, this process (by its
// `ours`), and a process that looks afterwards have a ProtocolError, again and again, and nobody can get it any more.
template <class Ours, class Theirs>
void check_poisoned(const char* what, Ours ours, Theirs theirs, void (*sleep)(Theirs), void (*use_ours)(Ours), void (*use)(Theirs)) {
  const unsigned seed = chosen_seed();
  INFO(what << ", TROUPE_TEST_SEED=" << seed);
  Event ready;
  Process sleeper(
      [sleep](Theirs thing, Event told) {
        told.set();
        return throws<ProtocolError>([&] { sleep(thing); }) && throws<ProtocolError>([&] { sleep(thing); }) ? 0 : 1;
      },
      theirs, ready);
  Event there, done;
  Process later(
      [use](Theirs thing, Event told, Event after) {
        told.set(), after.wait();
        return throws<ProtocolError>([&] { use(thing); }) && throws<ProtocolError>([&] { use(thing); }) ? 0 : 1;
      },
      theirs, there, done);
  Process scribbler(
      [seed](Theirs) {
        overwrite("troupe", seed);
        ::kill(::getpid(), SIGKILL);
      },
      theirs);
  sleeper.start(), later.start();
  ready.wait(), there.wait();
  while (!is_asleep(*sleeper.pid())) ::sched_yield();
  scribbler.start(), scribbler.join();
  done.set();
  CHECK(end_of(sleeper) == "exited with code 0");
  CHECK(end_of(later) == "exited with code 0");
  CHECK_THROWS_AS(use_ours(ours), ProtocolError);
  CHECK_THROWS_AS(use_ours(ours), ProtocolError);
  Process next([](Theirs) {}, theirs);
  next.start();
  CHECK_THAT(end_of(next), Catch::Contains("was overwritten"));
}

template <class Thing>
void check_poisoned(const char* what, Thing thing, void (*sleep)(Thing), void (*use)(Thing)) {
  check_poisoned<Thing, Thing>(what, thing, thing, sleep, use, use);
}

}  // namespace

TEST_CASE("a queue that somebody overwrites is an error for all who use it, or sleep there") {
  const troupe::test::Leftovers leftovers;
  using Full = Queue<int>;
  check_poisoned<Queue<int>>("get", {}, [](auto q) { q.get(); }, [](auto q) { q.put(1); });
  check_poisoned<Queue<int>>("lease", {}, [](auto q) { q.lease(); }, [](auto q) { q.try_lease(); });
  Full full(1);
  full.put(1);
  check_poisoned<Full>("put", full, [](auto q) { q.put(2); }, [](auto q) { q.get(); });
  check_poisoned<LifoQueue<std::string>>("last in", {}, [](auto q) { q.get(); }, [](auto q) { q.put("x"); });
  check_poisoned<PriorityQueue<int>>("by priority", {}, [](auto q) { q.get(); }, [](auto q) { q.try_get(1ms); });
  check_poisoned<Queue<int>>("looks", {}, [](auto q) { q.get(); }, [](auto q) { static_cast<void>(q.qsize()); });
  check_poisoned<Queue<int>>("close", {}, [](auto q) { q.get(); }, [](auto q) { q.close(); });
  JoinableQueue<int> tasks;
  tasks.put(1);
  check_poisoned<JoinableQueue<int>>("join", tasks, [](auto q) { q.join(); }, [](auto q) { q.get(); });
  check_poisoned<Queue<int>>("wait()", {}, [](auto q) { static_cast<void>(wait({q})); }, [](auto q) { static_cast<void>(wait({q}, 1ms)); });
}

TEST_CASE("a pipe that somebody overwrites is an error for all who use either end, or sleep there") {
  const troupe::test::Leftovers leftovers;
  const auto receive = [](Connection end) { end.recv<int>(); };
  const auto send = [](Connection end) { end.send(1); };
  const auto look = [](Connection end) { static_cast<void>(end.poll(1ms)); };
  for (const auto transport : {PipeTransport::ring, PipeTransport::socket}) {
    INFO("transport " << static_cast<int>(transport));
    const auto check = [&](const char* what, void (*sleep)(Connection), void (*use)(Connection)) {
      auto [ours, theirs] = Pipe({.transport = transport});
      check_poisoned<Connection, Connection>(what, ours, theirs, sleep, use, use);
    };
    check("recv", receive, send);
    check("poll", [](Connection end) { static_cast<void>(end.poll()), end.recv<int>(); }, look);
    check("send", [](Connection end) { while (true) end.send(std::string(10'000, 'x')); }, receive);
    check("wait()", [](Connection end) { static_cast<void>(wait({end})), end.recv<int>(); }, send);
  }
}

TEST_CASE("locks and their kin that somebody overwrites are an error for all who use them, or sleep there") {
  const troupe::test::Leftovers leftovers;
  const auto acquire = [](auto lock) { lock.acquire(); };
  const auto try_acquire = [](auto lock) { lock.acquire(false); };
  Lock lock;
  lock.acquire();
  check_poisoned<Lock>("Lock", lock, acquire, try_acquire);
  CHECK_THROWS_AS(lock.release(), ProtocolError);
  lock.unlock();  // as a destructor does
  RLock again;
  again.acquire();
  check_poisoned<RLock>("RLock", again, acquire, try_acquire);
  check_poisoned<Semaphore>("Semaphore", Semaphore(0), acquire, try_acquire);
  check_poisoned<BoundedSemaphore>("BoundedSemaphore", BoundedSemaphore(0), acquire, [](auto permits) { permits.release(); });
  check_poisoned<Condition>("Condition", {}, [](auto changed) { changed.acquire(), changed.wait(); }, try_acquire);
  const Lock other;
  check_poisoned<Condition>("Condition of a Lock", Condition(other), [](auto changed) { changed.acquire(), changed.wait(); }, try_acquire);
  check_poisoned<Barrier>("Barrier", Barrier(5), [](auto all) { all.wait(); }, [](auto all) { all.wait(0s); });
  Value<int> value(1);
  value.get_lock().acquire();
  check_poisoned<Value<int>>("Value", value, [](auto v) { v.get_lock().acquire(); }, [](auto v) { v.get_lock().acquire(false); });
}

TEST_CASE("where any bytes may be meant, they are taken for that") {
  const unsigned seed = chosen_seed();
  INFO("TROUPE_TEST_SEED=" << seed);
  Event event;
  RawArray<int> numbers(100);
  Process scribbler([seed](Event, RawArray<int>) { overwrite("troupe", seed); }, event, numbers);
  scribbler.start(), scribbler.join();
  CHECK_NOTHROW(event.clear());
  CHECK_FALSE(event.is_set());
  CHECK_NOTHROW(numbers[3] = 4);
}

// Links between nodes.

namespace {

class Shop final : public Actor {
 public:
  explicit Shop(Context& context) : Actor(context) {
    on<shop::Order>([](shop::Order::Reader) {});
    on<shop::Ask, shop::Goods>([](shop::Ask::Reader, shop::Goods::Builder) {});
  }
};

// Overwrites the links of its process.
class Vandal final : public Actor {
 public:
  explicit Vandal(Context& context) : Actor(context) {
    on<shop::Order>([](shop::Order::Reader order) { overwrite("troupe-link", order.getCount()); });
    on<shop::Ask, shop::Goods>([](shop::Ask::Reader, shop::Goods::Builder) {});
  }
};

template <class Reply = shop::Goods>
bool answers(const Address& actor) {
  try {
    static_cast<void>(ask<shop::Ask, Reply>(actor).get(30s));
    return true;
  } catch (const ActorDown&) {
    return false;
  }
}

}  // namespace

TEST_CASE("a link that its peer overwrites is dropped: who waits is told, the next message makes a new one, and others notice nothing") {
  const unsigned seed = chosen_seed();
  INFO("TROUPE_TEST_SEED=" << seed);
  Supervisor supervisor("", {.max_restarts = 1000, .backoff = {.min = 0s}, .children = {Child::actor<Shop>("shop"), Child::actor<Vandal>("vandal")}});
  supervisor.start();
  const Address shop = look_up("shop", 30s);
  REQUIRE(answers(shop));
  for (unsigned round = 0; round < 3; ++round) {
    const Address vandal = look_up("vandal", 30s);
    if (!answers(vandal)) continue;  // it may have crashed: its own code reads what it wrote
    vandal.send<shop::Order>([&](shop::Order::Builder order) { order.setCount(seed + round); });
    static_cast<void>(answers(vandal));  // or not: but it does not wait for ever
    REQUIRE(answers(shop));
  }
  supervisor.stop();
}

// Everything at once, and at random.

namespace {

constexpr Duration kRound = 50ms;
constexpr int kUses = 14;

struct Things {
  Queue<int> queue;
  LifoQueue<std::string> stack;
  PriorityQueue<int> ranked;
  Lock lock;
  RLock again;
  Semaphore permits{3};
  Event event;
  Condition changed;
  Barrier all{2};
  Array<int> numbers{100};
};

struct Ends {
  Connection ring, socket;
};

// It may crash itself: its own code reads what it wrote. That a lock is held by one of those who live is not among what it writes: they are
// less than 64, and such a lock is waited for until that one has ended, which may be never.
void scribble(Things things, Ends ends, unsigned seed) {
  static_cast<void>(things), static_cast<void>(ends);
  const Address shop = look_up("shop", 30s);
  static_cast<void>(ask<shop::Ask, shop::Goods>(shop).get(30s));
  const auto memory = shared_memory("troupe");
  std::mt19937_64 random(seed);
  const auto end = Clock::now() + kRound;
  while (Clock::now() < end) {
    for (int i = 0; i < 50; ++i) {
      const auto& [begin, size] = memory[random() % memory.size()];
      const std::size_t range = std::min<std::size_t>(size, random() % 2 == 0 ? 4096 : 4 << 20);
      write(begin + random() % (range / 8) * 8, random() % 2 == 0 ? random() : random() % 8 == 0 ? 0 : 64 + random() % 600);
    }
    if (random() % 64 == 0) shop.send<shop::Order>([](shop::Order::Builder) {});
  }
}

// The bytes of an item may be anything, and not be a value: it is broken only if it is so for who looks at no item.
void use_one(Things& things, Ends& ends, int which, int i) {
  const std::string some(static_cast<std::size_t>(i) % 40'000, 'x');
  switch (which) {
    case 0: things.queue.put(i, 1ms), things.queue.put(i, 1ms), static_cast<void>(things.queue.try_get(1ms)); return;
    case 1: static_cast<void>(things.queue.try_lease(1ms)); return;
    case 2: things.stack.put(some, 1ms), static_cast<void>(things.stack.try_get(1ms)); return;
    case 3: things.ranked.put(i, 1ms), static_cast<void>(things.ranked.try_lease(1ms)); return;
    case 4: if (things.lock.acquire(true, 1ms)) things.lock.release(); return;
    case 5: if (things.again.acquire(true, 1ms)) things.again.release(); return;
    case 6: if (things.permits.acquire(true, 1ms)) things.permits.release(); return;
    case 7: things.event.set(), things.event.wait(1ms), things.event.clear(); return;
    case 8: if (things.changed.acquire(true, 1ms)) things.changed.wait(1ms), things.changed.notify_all(), things.changed.release(); return;
    case 9: if (i % 16 == 0) things.all.reset(); else things.all.wait(1ms); return;
    case 10: things.numbers[static_cast<std::size_t>(i) % 100] = i; return;
    case 11: if (things.numbers.get_lock().acquire(true, 1ms)) things.numbers.get_lock().release(); return;
    case 12: ends.ring.send(some), static_cast<void>(ends.ring.try_recv<std::string>(1ms)); return;
    default: ends.socket.send(some), static_cast<void>(ends.socket.try_recv<std::string>(1ms));
  }
}

// Without looking at what is in it.
void look_at(Things& things, Ends& ends, int which) {
  switch (which) {
    case 0: case 1: static_cast<void>(things.queue.qsize()); return;
    case 2: static_cast<void>(things.stack.qsize()); return;
    case 3: static_cast<void>(things.ranked.qsize()); return;
    case 4: things.lock.acquire(false); return;
    case 5: things.again.acquire(false); return;
    case 6: things.permits.acquire(false); return;
    case 8: things.changed.acquire(false); return;
    case 9: things.all.wait(0s); return;
    case 11: things.numbers.get_lock().acquire(false); return;
    case 12: static_cast<void>(ends.ring.poll(0s)); return;
    case 13: static_cast<void>(ends.socket.poll(0s)); return;
    default: return;
  }
}

std::size_t memory_peak_kib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmHWM:")) return static_cast<std::size_t>(std::stoul(line.substr(6)));
  return 0;
}

enum Outcome { nothing, poisoned };  // of a use, in `seen`
constexpr int kTooMuchMemory = 9;

// Until the one who overwrites it all has ended, and a little longer.
int use(Things things, Ends ends, int which, Queue<int> here, Event over, RawArray<int> seen) {
  here.put(which);
  for (int i = 0, rest = 20; rest > 0; ++i) {
    if (over.is_set()) --rest;
    if (throws<ProtocolError>([&] { use_one(things, ends, which, i); }) && throws<ProtocolError>([&] { look_at(things, ends, which); }))
      seen[static_cast<std::size_t>(which)] = poisoned;
  }
  return memory_peak_kib() > std::size_t{1} << 20 ? kTooMuchMemory : 0;
}

int scribble_for(Duration time) {
  const unsigned seed = chosen_seed();
  int poisonings = 0;
  Supervisor supervisor("", {.max_restarts = 0, .children = {Child::actor<Shop>("shop")}});
  supervisor.start();
  const auto until = Clock::now() + time;
  for (unsigned round = 0; Clock::now() < until; ++round) {
    INFO("TROUPE_TEST_SEED=" << seed << ", round " << round);
    Things things;
    Queue<int> here;
    Event over;
    RawArray<int> seen(kUses);
    auto [ring, far_ring] = Pipe({.ring_bytes = 1 << 14});
    auto [socket, far_socket] = Pipe({.transport = PipeTransport::socket});
    Ends near{ring, socket}, far{far_ring, far_socket};
    Process scribbler(scribble, things, far, seed + round);
    std::vector<Process> users;
    for (int which = 0; which < kUses; ++which) users.emplace_back(use, things, near, which, here, over, seen);
    for (Process& user : users) user.start();
    for (int which = 0; which < kUses; ++which) here.get();  // who comes later is refused
    scribbler.start();
    for (Connection* end : {&far_ring, &far_socket, &far.ring, &far.socket}) end->close();  // or the users would wait for us to receive
    if (!scribbler.join(10 * kRound)) scribbler.kill();
    scribbler.join();
    over.set();
    for (int which = 0; which < kUses; ++which) {
      INFO("use " << which);
      Process& user = users[static_cast<std::size_t>(which)];
      REQUIRE(user.join(120s));
      CHECK(end_of(user) == "exited with code 0");
      if (seen[static_cast<std::size_t>(which)] == nothing) continue;
      CHECK_THROWS_AS(look_at(things, near, which), ProtocolError);  // what one user found, all have
      ++poisonings;
    }
  }
  CHECK(answers(look_up("shop", 30s)));
  supervisor.stop();
  return poisonings;
}

}  // namespace

TEST_CASE("others do not crash or hang because a process scribbles over what they share") { CHECK(scribble_for(500ms) > 0); }
TEST_CASE("others do not crash or hang because a process scribbles over what they share for ten seconds", "[.][soak]") {
  CHECK(scribble_for(10s) > 0);
}
