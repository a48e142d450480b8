// Whoever finds shared memory overwritten breaks the locks in it, for all, and tells root. Killed at any change that it makes on the way,
// it leaves nobody asleep: root finds a lock that is broken when it puts in order what the dead one left, and breaks the rest.
#include <troupe/errors.h>

#include <cstring>
#include <functional>
#include <memory>
#include <set>

#include "os/memory.h"
#include "pipe/end.h"
#include "pipe/recover.h"
#include "process/things.h"
#include "queue/recover.h"
#include "queue/shared_queue.h"
#include "support/catch.h"
#include "support/kill_sweep.h"
#include "support/survivors.h"
#include "sync/lock.h"
#include "sync/semaphore.h"

using namespace troupe;
using namespace troupe::process;
using namespace troupe::test;

namespace {

constexpr ThingId kFirst = 1, kSecond = 2;  // of a pipe, its ends; all others are one thing
constexpr Serial kHelper = 1, kVictim = 2, kSurvivor = 3;
constexpr std::uint32_t kUsers = 8;

// Shared memory as all processes see it, and root.
struct Shared {
  explicit Shared(os::Descriptor descriptor, std::size_t size) : memory(std::move(descriptor)), mapping(memory, size) {}
  [[nodiscard]] std::span<std::byte> bytes() const { return mapping.bytes(); }
  [[nodiscard]] std::atomic<std::uint32_t>& told() const { return *reinterpret_cast<std::atomic<std::uint32_t>*>(flag.bytes().data()); }

  os::Descriptor memory;
  os::Mapping mapping;
  os::Mapping flag{os::make_shared_memory("told", 64), 64};  // a user has told root
  Things things;
};

// What a user does, once it has opened the thing.
using Act = std::function<void()>;
using Open = std::function<Act(const Shared&, std::uint32_t slot)>;

struct Scenario {
  std::string name;
  std::function<std::unique_ptr<Shared>()> make;
  std::function<void(const Shared&)> overwrite;
  Open finds;  // what the victim does, and in the end the helper: that throws
  std::vector<std::pair<ThingId, Open>> asleep;
  std::function<bool(const Shared&)> is_broken;  // one of its locks
  ThingId thing = kFirst;                        // the victim's
};

using Root = std::function<void(Shared&, const Scenario&, std::uint32_t slot)>;

void end(Shared& shared, const Scenario& scenario, std::uint32_t) {
  if (shared.told() != 0) shared.things.found_broken(scenario.thing);
  shared.things.ended(kVictim, {.finished = false, .name = "victim"});
}

int quietly(const Act& act) {
  try {
    act();
  } catch (const ProtocolError&) {
  }
  return 0;
}

class Play {
 public:
  using Stop = Stepper::Stop;
  Play(const Scenario& scenario, Path& path) : scenario_(scenario), shared_(scenario.make()), path_(path) {
    Serial serial = kSurvivor;
    for (const auto& sleeper : scenario.asleep) {
      const auto slot = shared_->things.open(sleeper.first, serial++).slot;
      survivors_.add([&] { return quietly(sleeper.second(*shared_, slot)); });
      survivors_.settle();
    }
    slot_ = shared_->things.open(scenario.thing, kVictim).slot;
    scenario.overwrite(*shared_);
    victim_ = std::make_unique<Stepper>([&] {
      quietly([] { throw ProtocolError("the way of an exception is long when it is first gone"); });
      const Act act = scenario.finds(*shared_, slot_);
      mark();
      quietly(act);
      shared_->told() = 1;
      mark();
    });
    if (path.at.empty()) victim_->record(path);
  }

  // After how many steps it has made a change, and after how many it is about to make one.
  std::set<std::size_t> walk() {
    std::vector<std::byte> before(shared_->bytes().begin(), shared_->bytes().end());
    std::set<std::size_t> points{0};
    std::size_t steps = 0;
    for (; victim_->step() == Stop::instruction; ++steps) {
      if (std::memcmp(before.data(), shared_->bytes().data(), before.size()) == 0) continue;
      points.insert({steps, steps + 1});
      std::ranges::copy(shared_->bytes(), before.begin());
    }
    points.insert(steps);
    return points;
  }
  bool to(std::size_t steps) { return steps == 0 || victim_->to(path_, steps) == Stop::instruction; }
  bool step_to(std::size_t steps) {
    while (steps > 0 && victim_->step() == Stop::instruction) --steps;
    return steps == 0;
  }

  std::string kill(const Root& root) {
    victim_->kill();
    survivors_.settle();
    const bool was_broken = scenario_.is_broken(*shared_);
    root(*shared_, scenario_, slot_);
    survivors_.settle();
    if (was_broken) {
      if (std::string wrong = survivors_.fault(true); !wrong.empty()) return "a lock is broken, but " + wrong;
      if (!shared_->things.why_not(scenario_.thing)) return "it is broken, but may be opened";
    }
    if (!throws()) return "the helper finds nothing";
    shared_->things.found_broken(scenario_.thing);
    survivors_.settle();
    if (std::string wrong = survivors_.fault(true); !wrong.empty()) return wrong;
    return throws() ? "" : "it is whole again";
  }

 private:
  bool throws() {
    try {
      const auto slot = shared_->things.open(scenario_.thing, kHelper).slot;
      scenario_.finds(*shared_, slot)();
      return false;
    } catch (const ProtocolError&) {
      return true;
    }
  }

  const Scenario& scenario_;
  std::unique_ptr<Shared> shared_;
  Path& path_;
  std::uint32_t slot_ = 0;
  Survivors survivors_;
  std::unique_ptr<Stepper> victim_;
};

Sweep kill_in(const Scenario& scenario, const Root& root = end) {
  Sweep sweep;
  Path path;
  for (const std::size_t at : Play(scenario, path).walk()) {
    auto play = std::make_unique<Play>(scenario, path);
    if (!play->to(at)) {
      play.reset(), play = std::make_unique<Play>(scenario, path);
      if (!play->step_to(at)) ++sweep.missed;
    }
    const std::string wrong = play->kill(root);
    sweep.count(wrong.empty() ? "" : scenario.name + ", after " + std::to_string(at) + " steps: " + wrong);
  }
  return sweep;
}

// A queue whose count of segments was overwritten: producers find that.

queue::ControlArea& control(const Shared& shared) { return *reinterpret_cast<queue::ControlArea*>(shared.bytes().data()); }

Open in_queue(const std::function<void(queue::SharedQueue&)>& work) {
  return [=](const Shared& shared, std::uint32_t slot) -> Act {
    const auto memory = std::make_shared<const queue::QueueMemory>(shared.memory.duplicate());
    const auto queue = std::make_shared<queue::SharedQueue>(memory, slot, [&shared] { shared.told() = 1; });
    return [=] { work(*queue); };
  };
}

const Open puts = in_queue([](auto& queue) { static_cast<void>(queue.put(queue::Bytes(8), queue::kNow)); });
const Open gets = in_queue([](auto& queue) {
  queue::Bytes item;
  static_cast<void>(queue.get(item));
});
const Open joins = in_queue([](auto& queue) { static_cast<void>(queue.join()); });

Scenario queue_scenario(std::string name, std::vector<std::pair<ThingId, Open>> asleep, int items) {
  Scenario scenario;
  scenario.name = std::move(name);
  scenario.make = [=] {
    auto memory = queue::QueueMemory::create({.users_max = kUsers, .idle = kForever});
    auto shared = std::make_unique<Shared>(std::move(memory), sizeof(queue::ControlArea));
    shared->things.create(kFirst, ThingKind::queue, shared->memory.duplicate(), kHelper);
    for (int i = 0; i < items; ++i) puts(*shared, 0)();
    return shared;
  };
  // As if the next item's segment were one that there cannot be.
  scenario.overwrite = [](const Shared& shared) {
    control(shared).segments.ready = std::uint64_t{1} << 40;
    control(shared).tail.tail = control(shared).tail.tail & ~std::uint64_t{0xffff};
  };
  scenario.finds = puts;
  scenario.asleep = std::move(asleep);
  scenario.is_broken = [](const Shared& shared) {
    const auto& c = control(shared);
    return c.put.lock.is_broken() || c.get.lock.is_broken() || c.segments.lock.is_broken();
  };
  return scenario;
}

// A pipe, where what the first side has taken was overwritten: who sends at the second finds that.

pipe::PipeHeader& header(const Shared& shared) { return pipe::header_of(shared.bytes()); }

Open in_pipe(pipe::Side side, const std::function<void(pipe::End&)>& work) {
  return [=](const Shared& shared, std::uint32_t slot) -> Act {
    const auto end = std::make_shared<pipe::End>(shared.bytes(), side, slot, nullptr, -1, [&shared] { shared.told() = 1; });
    return [=] { work(*end); };
  };
}

void receive(pipe::End& end) {
  pipe::Frame frame;
  static_cast<void>(end.receive(frame));
}

Scenario pipe_scenario(std::string name, std::vector<std::pair<ThingId, Open>> asleep) {
  Scenario scenario;
  scenario.name = std::move(name);
  scenario.make = [] {
    const pipe::PipeShape shape{.ring_capacity = 4096, .duplex = true};
    auto shared = std::make_unique<Shared>(os::make_shared_memory("pipe", pipe::memory_size(shape)), pipe::memory_size(shape));
    pipe::format(shared->bytes(), shape);
    shared->things.create(kFirst, ThingKind::first_end, shared->memory.duplicate(), kHelper);
    shared->things.create(kSecond, ThingKind::second_end, shared->memory.duplicate(), kHelper, kFirst);
    return shared;
  };
  scenario.overwrite = [](const Shared& shared) { ring::Ring(pipe::ring_of(shared.bytes(), pipe::Side::second)).header->head = 4; };
  scenario.finds = in_pipe(pipe::Side::second, [](auto& end) { static_cast<void>(end.send(std::vector<std::byte>(10))); });
  scenario.asleep = std::move(asleep);
  scenario.is_broken = [](const Shared& shared) {
    const auto& ways = header(shared).ways;
    return std::ranges::any_of(ways, [](const auto& way) { return way.send_lock.is_broken() || way.receive_lock.is_broken(); });
  };
  scenario.thing = kSecond;
  return scenario;
}

// Primitives, whose lock was overwritten.

template <class Primitive, class Part>
Scenario primitive_scenario(std::string name, std::function<void(Primitive&)> work) {
  const auto part = [](const Shared& shared) { return sync::Parts(shared.bytes()).template next<Part>(); };
  const Open uses = [=](const Shared& shared, std::uint32_t slot) -> Act {
    const auto primitive = std::make_shared<Primitive>(shared.bytes(), slot);
    return [=] { work(*primitive); };
  };
  Scenario scenario;
  scenario.name = std::move(name);
  scenario.make = [=] {
    const std::size_t size = Primitive::memory_size(kUsers);
    auto shared = std::make_unique<Shared>(os::make_shared_memory("primitive", size), size);
    Primitive::format(shared->bytes(), kUsers);
    shared->things.create(kFirst, ThingKind::primitive, shared->memory.duplicate(), kHelper);
    uses(*shared, 0)();  // the helper has it, so that others sleep
    return shared;
  };
  scenario.overwrite = [=](const Shared& shared) {
    reinterpret_cast<std::atomic<std::uint32_t>&>(part(shared)->lock) = 0x00ABCDEF;
  };
  scenario.finds = uses;
  scenario.asleep = {{kFirst, uses}, {kFirst, uses}};
  scenario.is_broken = [=](const Shared& shared) { return part(shared)->lock.is_broken(); };
  return scenario;
}

std::vector<Scenario> scenarios() {
  const auto consumer = std::pair(kFirst, gets), joiner = std::pair(kFirst, joins);
  const auto other_side = std::pair(kFirst, in_pipe(pipe::Side::first, receive));
  const auto same_side = std::pair(kSecond, in_pipe(pipe::Side::second, receive));
  return {
      queue_scenario("a queue with consumers", {consumer, consumer}, 0),
      queue_scenario("a queue with a joiner", {joiner}, 3),
      pipe_scenario("a pipe with receivers on both sides", {other_side, same_side}),
      pipe_scenario("a pipe with a receiver on the other side", {other_side}),
      pipe_scenario("a pipe with a receiver on the same side", {same_side}),
      primitive_scenario<sync::Lock, sync::LockPart>("a lock", [](auto& lock) { lock.acquire(); }),
      primitive_scenario<sync::Semaphore, sync::GuardPart>("a semaphore", [](auto& semaphore) { semaphore.acquire(); }),
  };
}

}  // namespace

TEST_CASE("killed at any change while it breaks what was overwritten, the finder leaves nobody asleep") {
  if (!kStepperWorks) return;
  check_kills(scenarios(), [](const Scenario& scenario) { return kill_in(scenario); }, 50);
}

TEST_CASE("a root that does not look for broken locks is noticed") {
  if (!kStepperWorks) return;
  const Leftovers leftovers;
  const OneCpu one_cpu;
  const auto all = scenarios();
  const Root looks_not = [](Shared& shared, const Scenario& scenario, std::uint32_t slot) {
    if (shared.told() != 0) return end(shared, scenario, slot);
    if (scenario.thing == kSecond) return pipe::recover(shared.bytes(), pipe::Side::second, slot, -1);
    queue::recover(queue::QueueMemory(shared.memory.duplicate()), slot);
  };
  for (const Scenario& scenario : all) {
    if (scenario.name != "a queue with consumers" && scenario.name != "a pipe with a receiver on the same side") continue;
    INFO(scenario.name);
    CHECK(kill_in(scenario, looks_not).failures > 0);
  }
}
