#include "supervisor/driver.h"

#include <capnp/message.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>

#include "script.h"
#include "supervisor/messages.h"
#include "supervisor/service.h"
#include "supervisor/wire.h"
#include "support/catch.h"
#include "support/child.h"

using namespace troupe;
using namespace troupe::supervisor;
using testing::child_spec;
using testing::supervisor_spec;

namespace {

int nothing(std::span<const std::byte>) { return 0; }

// Remembers what was asked of it; the test says what happens.
class FakeRoot final : public process::Root {
 public:
  process::ProcessId start(process::ChildSpec spec, process::ChildEvents& events) override {
    const auto id = process::make_id(process::kRootSerial, ++count_);
    log += "start " + spec.name + ", ";
    children[spec.name] = id;
    specs[id] = std::move(spec);
    listener = &events;
    return id;
  }
  void stop(process::ProcessId child) override { log += "stop " + specs.at(child).name + ", "; }
  void stop(process::ProcessId child, const Death& why) override { log += "stop " + specs.at(child).name + " (" + why.describe() + "), "; }
  void kill(process::ProcessId child) override { log += "kill " + specs.at(child).name + ", "; }
  void kill(process::ProcessId child, const Death&) override { kill(child); }
  pid_t pid(process::ProcessId) const override { return 0; }
  TimerId call_at(Clock::time_point moment, std::function<void()> action) override {
    CHECK_FALSE(timer);
    timer = moment;
    action_ = std::move(action);
    return 1;
  }
  void cancel(TimerId id) override {
    if (id == 1) timer.reset();
  }
  void declare(const std::string&, const transport::LinkOptions&) override {}
  void choose_links(std::function<transport::LinkOptions(const std::string&, const std::string&)>) override {}
  void withdraw(const std::string&, const Death&) override {}
  void withdraw_all(const Death&) override {}
  void on_signal(std::function<void(int)>) override {}
  void on_end(std::function<void(bool)>) override {}
  void end(int, int) override {}
  void end_now(int, int) override {}

  void fire() {
    timer.reset();
    std::exchange(action_, {})();
  }
  std::string take() { return std::exchange(log, ""); }

  std::string log;
  std::map<std::string, process::ProcessId> children;
  std::map<process::ProcessId, process::ChildSpec> specs;
  process::ChildEvents* listener = nullptr;
  std::optional<Clock::time_point> timer;

 private:
  std::function<void()> action_;
  std::uint32_t count_ = 0;
};

struct Events : DriverEvents {
  void started() override { log += "started "; }
  void launched(const std::string& path, process::ProcessId) override { log += "+" + path + " "; }
  void noted(const std::string& path, const command::Note& note, pid_t) override { log += path + ":" + note.death.describe() + " "; }
  void answered(Request, Result result, const Death&) override { log += std::string(testing::word(result)) + " "; }
  void ended(const Outcome& outcome, const std::string&) override { log += std::string("ended:") + testing::word(outcome.why); }
  std::string take() { return std::exchange(log, ""); }
  std::string log;
};

SupervisorSpec of_processes(const char* flags, const char* children, bool says_ready) {
  auto spec = supervisor_spec(flags, children);
  for (auto& child : spec.children)
    child.work = std::make_shared<ProcessWork>(process::ChildSpec{.entry = &nothing, .name = "p-" + child.id}, says_ready);
  return spec;
}

const Death kKilled{Death::Cause::signalled, 9, ""};

}  // namespace

TEST_CASE("commands become calls on root, and its events go back") {
  FakeRoot root;
  Events events;
  Driver driver(root, of_processes("one_for_one", "a b", true), events, 1);
  driver.begin();
  CHECK(root.take() == "start p-a, ");
  root.listener->ready(root.children["p-a"]);
  CHECK(root.take() == "start p-b, ");
  root.listener->ready(root.children["p-b"]);
  CHECK(events.take() == "+a +b started ");

  const auto old = root.children["p-a"];
  root.listener->ended(old, kKilled);
  CHECK(root.take() == "start p-a, ");
  CHECK(events.take() == "a:killed by SIGKILL +a ");
  root.listener->ended(old, kKilled);  // of an earlier life
  root.listener->ready(old);
  CHECK(root.take() == "");

  driver.stop();
  CHECK(root.take() == "stop p-b, ");
  root.listener->ended(root.children["p-b"], {Death::Cause::stopped, 0, ""});
  CHECK(root.take() == "stop p-a, ");
  driver.kill();
  CHECK(root.take() == "kill p-a, ");
  root.listener->ended(root.children["p-a"], kKilled);
  CHECK(events.take() == "ended:stopped");
  CHECK_FALSE(root.timer);
}

TEST_CASE("a process that does not tell counts as ready once it is started") {
  FakeRoot root;
  Events events;
  Driver driver(root, of_processes("one_for_one", "a b c", false), events, 1);
  driver.begin();
  CHECK(root.take() == "start p-a, start p-b, start p-c, ");
  CHECK(events.take() == "+a +b +c started ");
}

TEST_CASE("the deadline of the tree is a timer of root's") {
  FakeRoot root;
  Events events;
  Driver driver(root, of_processes("one_for_one", "a:stop=50ms", false), events, 1);
  driver.begin();
  CHECK_FALSE(root.timer);
  driver.stop();
  REQUIRE(root.timer);
  CHECK(*root.timer <= Clock::now() + std::chrono::milliseconds(50));
  while (Clock::now() < *root.timer) {}
  root.take();
  root.fire();
  CHECK(root.take() == "kill p-a, ");
  CHECK_FALSE(root.timer);
}

TEST_CASE("a timer that fires early is set again") {
  FakeRoot root;
  Events events;
  Driver driver(root, of_processes("one_for_one", "a:stop=9s", false), events, 1);
  driver.begin();
  driver.stop();
  root.fire();
  CHECK(root.timer);
}

TEST_CASE("the driver leaves no timer behind") {
  FakeRoot root;
  Events events;
  {
    Driver driver(root, of_processes("one_for_one", "a", false), events, 1);
    driver.begin();
    driver.stop();
    CHECK(root.timer);
  }
  CHECK_FALSE(root.timer);
}

TEST_CASE("the processes of a tree can be found, and children be asked for") {
  FakeRoot root;
  Events events;
  Driver driver(root, of_processes("one_for_one", "a", false), events, 1);
  driver.begin();
  events.take();
  ChildSpec extra = child_spec("x");
  extra.work = std::make_shared<ProcessWork>(process::ChildSpec{.entry = &nothing, .name = "p-x"}, false);
  driver.ask("", event::StartChild{1, extra}, 1);
  CHECK(events.take() == "+x ok ");
  driver.tree().visit([&](const Tree::View& view) { CHECK(driver.process_of(view.worker) == root.children["p-" + view.path]); });
  CHECK(driver.process_of(0) == process::kNoProcess);
}

TEST_CASE("when all is ending, what is asked for then is not even begun") {
  FakeRoot root;
  Supervision supervision(root);
  supervision.ending(true);
  capnp::MallocMessageBuilder message;
  auto order = message.initRoot<wire::Order>();
  order.setSupervisor(1);
  auto child = order.initStart().initSpec().initChildren(1)[0];
  child.setId("a");
  child.initProcess().setEntry(reinterpret_cast<std::uint64_t>(&nothing));
  supervision.ordered(7, bytes_of(message));
  CHECK(root.take() == "");
  REQUIRE(root.timer);
  root.fire();  // it is forgotten
}

TEST_CASE("a message for which there is no room is kept and tried again") {
  test::Child child([] {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_NONBLOCK) != 0) return 1;
    const std::vector<char> filling(4096, '.');
    while (::write(ends[1], filling.data(), filling.size()) > 0) {
    }
    ::dup2(ends[1], STDERR_FILENO);
    FakeRoot root;
    Messages messages(root);
    messages.say("one");
    messages.say("two");
    if (!root.timer) return 2;
    std::string read(1 << 20, '\0');
    while (::read(ends[0], read.data(), read.size()) > 0) {
    }
    root.fire();
    const auto size = ::read(ends[0], read.data(), read.size());
    if (size <= 0 || root.timer) return 3;
    return read.substr(0, static_cast<std::size_t>(size)) == "troupe: one\ntroupe: two\n" ? 0 : 4;
  });
  CHECK(child.wait() == 0);
}
