// Kills one end of a link at the instructions of its operations while the other end sleeps: the other wakes, receives whole
// frames in order, and learns of the end.
#include <troupe/errors.h>

#include "os/event.h"
#include "os/proc.h"
#include "support/catch.h"
#include "support/stepper.h"
#include "transport/subjects.h"

using namespace troupe;
using namespace troupe::test;

namespace {

// What makes the sweep fail.
struct Fault {
  bool end_is_kept = false;  // by somebody who has a copy of the dead one's descriptors
  Duration patience = std::chrono::seconds(10);  // a sleeper that is not woken by then never will be
};

struct Survivor {
  Survivor(Subject subject, const Fault& planted)
      : options(options_of(subject)), link(make_link(options)), waiter(*link.ours), fault(planted) {
    waiter.wait(Clock::now());  // the event that every descriptor has at the beginning
  }

  // Whether it wakes, again and again, until `look` has seen the end. `look` says what is wrong, or nothing.
  std::string until_closed(const std::function<std::string()>& look) try {
    if (!fault.end_is_kept) link.theirs.clear();
    while (true) {
      if (auto wrong = look(); !wrong.empty()) return wrong;
      if (link.ours->closed()) return "";
      if (!waiter.wait(deadline_after(fault.patience))) return "nobody woke the survivor";
    }
  } catch (const ProtocolError& error) {
    return error.what();
  }

  LinkOptions options;
  NewLink link;
  Waiter waiter;
  Fault fault;
};

// Two frames of `size` bytes, the first with descriptors; killed at every `stride`th instruction.
Sweep kill_sender(Subject subject, std::size_t size, std::size_t descriptors, std::size_t stride, const Fault& fault = {}) {
  std::optional<Survivor> survivor;
  return kill_at_every_instruction(
      [&] {
        survivor.emplace(subject, fault);
        if (!survivor->link.ours->arm()) throw std::logic_error("nothing can be there yet");
      },
      [&] {
        auto link = join_link(survivor->options, std::move(survivor->link.theirs));
        survivor.reset();
        std::vector<os::Descriptor> extra;
        for (std::size_t i = 0; i < descriptors; ++i) extra.push_back(os::make_event());
        const auto first = numbered(0, size);
        const auto second = numbered(1, size);
        mark();
        if (!extra.empty()) link->attach(std::move(extra));
        (void)try_send(*link, first);
        link->flush();
        (void)try_send(*link, second);
        link->flush();
        mark();
      },
      [&] {
        std::uint32_t received = 0;
        return survivor->until_closed([&]() -> std::string {
          while (const auto frame = survivor->link.ours->peek()) {
            if (!std::ranges::equal(*frame, numbered(received, size))) return "a wrong frame";
            if (received++ == 0 && survivor->link.ours->take_descriptors().size() != descriptors)
              return "descriptors are missing";
            survivor->link.ours->release();
          }
          return received <= 2 ? "" : "too many frames";
        });
      },
      stride);
}

void sweep_sender(Subject subject, std::size_t size, std::size_t descriptors, std::size_t stride) {
  const auto before = os::open_descriptors();
  const auto sweep = kill_sender(subject, size, descriptors, stride);
  INFO(subject << ", " << size << " bytes: " << sweep.first_failure);
  CHECK(sweep.failures == 0);
  CHECK(sweep.points > 10);
  WARN(subject << ", " << size << " bytes, " << descriptors << " descriptors: " << sweep.points << " kills");
  CHECK(os::open_descriptors() == before);
}

Sweep kill_receiver(Subject subject, std::size_t stride, const Fault& fault = {}) {
  std::optional<Survivor> survivor;
  return kill_at_every_instruction(
      [&] {
        survivor.emplace(subject, fault);
        auto& link = *survivor->link.ours;
        while (true) {
          while (try_send(link, numbered(1, 900))) {
          }
          if (link.arm()) break;
        }
      },
      [&] {
        auto link = join_link(survivor->options, std::move(survivor->link.theirs));
        survivor.reset();
        mark();
        for (int i = 0; i < 3; ++i) {
          if (link->peek()) link->release();
        }
        link->flush();
        if (link->arm()) link->disarm();
        mark();
      },
      [&] {
        return survivor->until_closed([&]() -> std::string {
          auto& link = *survivor->link.ours;
          (void)try_send(link, numbered(1, 900));
          return link.peek() ? "a frame that nobody sent" : "";
        });
      },
      stride);
}

void sweep_receiver(Subject subject, std::size_t stride) {
  const auto before = os::open_descriptors();
  const auto sweep = kill_receiver(subject, stride);
  INFO(subject << ": " << sweep.first_failure);
  CHECK(sweep.failures == 0);
  CHECK(sweep.points > 10);
  WARN(subject << ": " << sweep.points << " kills");
  CHECK(os::open_descriptors() == before);
}

}  // namespace

TEST_CASE("a sender killed while its peer sleeps leaves whole frames, and its end wakes the peer") {
  if (!kStepperWorks) return;
  sweep_sender(Subject::ring, 64, 0, 7);
  sweep_sender(Subject::ring, 64, 2, 43);
  sweep_sender(Subject::ring, 3000, 0, 311);  // in pieces
  sweep_sender(Subject::pipe, 64, 2, 31);
}

TEST_CASE("a receiver killed while its peer waits for room wakes it") {
  if (!kStepperWorks) return;
  sweep_receiver(Subject::ring, 7);
  sweep_receiver(Subject::pipe, 41);
}

TEST_CASE("the sweep finds that nobody is told of the end, because somebody has kept the descriptors of the dead") {
  if (!kStepperWorks) return;
  const Fault fault = {.end_is_kept = true, .patience = std::chrono::milliseconds(300)};
  constexpr std::size_t kFew = 100'000;  // where it begins, and where it ends
  for (const Subject subject : {Subject::ring, Subject::pipe}) {
    for (const Sweep& sweep : {kill_sender(subject, 64, 0, kFew, fault), kill_receiver(subject, kFew, fault)}) {
      CHECK(sweep.failures == sweep.points);
      CHECK(sweep.first_failure.find("nobody woke the survivor") != std::string::npos);
    }
  }
}

TEST_CASE("either end of a link killed at every single instruction", "[.][soak][kill-sweep]") {
  if (!kStepperWorks) return;
  sweep_sender(Subject::ring, 64, 0, 1);
  sweep_sender(Subject::ring, 64, 2, 1);
  sweep_sender(Subject::ring, 3000, 0, 7);
  sweep_sender(Subject::pipe, 64, 2, 1);
  sweep_sender(Subject::pipe, 3000, 0, 7);
  sweep_receiver(Subject::ring, 1);
  sweep_receiver(Subject::pipe, 1);
}
