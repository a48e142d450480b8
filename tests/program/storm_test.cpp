// A tree of three levels and thirty processes, some of which are killed or stopped at random moments: in the end it is whole, and
// nothing else was touched.

#include <troupe/supervisor.h>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <set>
#include <thread>

#include "os/proc.h"
#include "program/test_supervisor.capnp.h"
#include "support/catch.h"
#include "support/leftovers.h"

using namespace troupe;
using namespace std::chrono_literals;

namespace {

void sleep_on() {
  while (true) ::pause();
}

class Echo : public Actor {
 public:
  explicit Echo(Context& context) : Actor(context) {
    on<test::Ping, test::Pong>([](test::Ping::Reader, test::Pong::Builder pong) { pong.setPid(::getpid()); });
  }
};

const ChildOptions kWatched{.watchdog = 500ms};

Child function(const std::string& id) { return Child(id, sleep_on, kWatched); }
Child actor(const std::string& id) { return Child::actor<Echo>("storm-" + id, kWatched); }

Child leaf(const std::string& id, Strategy strategy, unsigned max_restarts) {
  return Child(id, SupervisorSpec{.strategy = strategy, .max_restarts = max_restarts, .children = {function("f"), actor(id)}},
               ChildOptions{.stop_timeout = kForever});
}

Child middle(const std::string& id, Strategy strategy, unsigned max_restarts) {
  return Child(id, SupervisorSpec{.strategy = strategy, .max_restarts = 1000000, .children = {
      leaf(id + "-1", strategy, max_restarts), leaf(id + "-2", strategy, max_restarts), leaf(id + "-3", strategy, max_restarts),
      function("x"), function("y"), function("z")}}, ChildOptions{.stop_timeout = kForever});
}

// Under "single" every death is answered by exactly one restart; elsewhere siblings are stopped with it, or their supervisor gives up.
SupervisorSpec tree() {
  return {.max_restarts = 1000000, .children = {function("a"), function("b"), function("c"), middle("single", Strategy::one_for_one, 1000000),
                                                middle("all", Strategy::one_for_all, 1000000), middle("rest", Strategy::rest_for_one, 2)}};
}

bool counts_singly(const std::string& path) { return path.find('/') == std::string::npos || path.starts_with("single/"); }

// Whether a process ended as it must have: by the signal that it got, or with a sibling that, or something below which, got one.
bool is_exact(const std::string& path, const Death& death, const std::map<std::string, std::set<int>>& signals) {
  const auto got = [&](int signal) { return signals.contains(path) && signals.at(path).contains(signal); };
  switch (death.cause) {
    case Death::Cause::signalled: return death.code == SIGKILL && got(SIGKILL);
    case Death::Cause::hung: return got(SIGSTOP);
    case Death::Cause::cascade: break;
    default: return false;
  }
  const auto end = death.detail.find('`', 1);
  if (!death.detail.starts_with('`') || end == std::string::npos) return false;
  // The supervisor of both may be any of those above it: when one goes down so does all below.
  const std::string other = death.detail.substr(1, end - 1);
  for (auto cut = path.rfind('/');; cut = path.rfind('/', cut - 1)) {
    const std::string began = (cut == std::string::npos ? "" : path.substr(0, cut + 1)) + other;
    const bool hit = std::ranges::any_of(signals, [&](const auto& entry) { return entry.first == began || entry.first.starts_with(began + "/"); });
    if (hit) return began != path;
    if (cut == std::string::npos || cut == 0) return false;
  }
}

// Anybody: not of the tree, and not to be signalled.
class Stranger {
 public:
  Stranger() {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::close(ends[1]);
      sigset_t all, pending;
      sigfillset(&all);
      ::sigprocmask(SIG_SETMASK, &all, nullptr);
      char byte;
      while (::read(ends[0], &byte, 1) > 0) {
      }
      ::sigpending(&pending);
      for (int number = 1; number < NSIG; ++number)
        if (sigismember(&pending, number) == 1) ::_exit(number);
      ::_exit(0);
    }
    ::close(ends[0]);
    end_ = ends[1];
  }
  // 0, or the signal that it got.
  int end() {
    ::close(end_);
    int status = 0;
    REQUIRE(::waitpid(pid_, &status, 0) == pid_);
    return WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
  }

 private:
  pid_t pid_ = -1;
  int end_ = -1;
};

std::ptrdiff_t descriptors_of(pid_t pid) {
  const auto all = std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/fd");
  return std::distance(begin(all), end(all));
}

std::size_t shared_pages(pid_t pid) {
  std::ifstream maps("/proc/" + std::to_string(pid) + "/maps");
  std::size_t count = 0;
  for (std::string line; std::getline(maps, line);) count += line.find("/dev/zero (deleted)") != std::string::npos;
  return count;
}

void storm(int signals, std::chrono::milliseconds span) {
  const auto seed = std::random_device()();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  const test::Leftovers leftovers;
  const pid_t root = ::getppid();
  Stranger stranger;
  {
    Supervisor supervisor("", tree());
    supervisor.start();
    const auto processes = [&] {
      auto children = supervisor.which_children();
      std::erase_if(children, [](const ChildInfo& child) { return child.supervisor; });
      return children;
    };
    REQUIRE(processes().size() == 30);
    const auto descriptors = descriptors_of(root);
    const auto pages = shared_pages(root);

    std::map<pid_t, std::string> victims;
    std::map<std::string, std::set<int>> signals_to;  // by path
    const auto begin = Clock::now();
    for (int i = 1; i <= signals; ++i) {
      // A random moment is the point here; nothing depends on how long this really takes.
      std::this_thread::sleep_until(begin + span * i / signals + std::chrono::microseconds(random() % 10000));
      auto running = processes();
      std::erase_if(running, [&](const ChildInfo& child) { return !child.pid || child.state != ChildState::running || victims.contains(*child.pid); });
      if (running.empty()) continue;
      const ChildInfo& victim = running[random() % running.size()];
      const int signal = random() % 2 == 0 ? SIGKILL : SIGSTOP;
      if (::kill(*victim.pid, signal) != 0) continue;
      victims[*victim.pid] = victim.path;
      signals_to[victim.path].insert(signal);
    }
    REQUIRE(victims.size() > static_cast<std::size_t>(signals) / 2);

    // Whole again: all run, and nobody who was hit still does.
    auto after = processes();
    const auto whole = [&] {
      return after.size() == 30 && std::ranges::all_of(after, [&](const ChildInfo& child) {
               return child.state == ChildState::running && child.pid && !victims.contains(*child.pid);
             });
    };
    for (; !whole(); after = processes()) std::this_thread::sleep_for(10ms);  // only so as not to ask all the time

    std::map<std::string, unsigned> hits;
    for (const auto& [pid, path] : victims) {
      CHECK(::kill(pid, 0) != 0);  // neither it nor its zombie
      ++hits[path];
    }
    for (const ChildInfo& child : after) {
      INFO(child.path);
      if (child.last_death) {
        INFO(child.last_death->report());
        CHECK(is_exact(child.path, *child.last_death, signals_to));
      }
      if (!hits.contains(child.path) || !counts_singly(child.path)) continue;
      CHECK(child.restarts == hits[child.path]);
      REQUIRE(child.last_death);
      CHECK(child.last_death->restarts == child.restarts - 1);
      CHECK(child.last_death->cause != Death::Cause::cascade);
    }
    std::size_t alive = os::children_of(root).size();
    while (alive != 31) alive = os::children_of(root).size();  // main is its child, too
    while (descriptors_of(root) > descriptors || shared_pages(root) > pages) {
    }
  }
  CHECK(stranger.end() == 0);
}

}  // namespace

TEST_CASE("a tree of thirty processes survives a storm") { storm(60, 6s); }

TEST_CASE("a tree of thirty processes survives a long storm", "[.][soak]") { storm(300, 60s); }
