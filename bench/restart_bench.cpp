// How long an actor is away whose handler threw: it is restarted inside its process. Beside it Erlang's supervisor.

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <optional>
#include <stdexcept>
#include <thread>
#include <vector>

#include <troupe/program.h>
#include <troupe/supervisor.h>

#include "erlang.h"
#include "harness.h"
#include "restart_bench.capnp.h"

namespace {

constexpr int kRestarts = 500;
constexpr auto kLong = std::chrono::seconds(30);

// Made before the tree, so that all see it.
struct Board {
  std::atomic<double> median_us;
};
Board* board = nullptr;

double born = 0;                // of the last Phoenix
troupe::Address phoenix_there;  // where that is

class Phoenix : public troupe::Actor {
 public:
  explicit Phoenix(troupe::Context& context) : Actor(context) {
    born = bench::now();
    phoenix_there = self();
    on<Crash>([](Crash::Reader) { throw std::runtime_error("on purpose"); });
  }
};

// Has it throw, again and again, and notes how long it takes until the next is there.
class Prober : public troupe::Actor {
 public:
  explicit Prober(troupe::Context& context) : Actor(context) {
    every(std::chrono::milliseconds(1), [this] { look(); });
  }

 private:
  void look() {
    if (born < begin_) return;
    if (begin_ != 0) times_.push_back(born - begin_);
    if (times_.size() == kRestarts) return report();
    begin_ = bench::now();
    phoenix_there.send<Crash>();
  }
  void report() {
    std::ranges::sort(times_);
    board->median_us = times_[kRestarts / 2] * 1e6;
    stop();
  }

  double begin_ = 0;
  std::vector<double> times_;
};

double restart_us() {
  board->median_us = 0;
  troupe::SupervisorSpec spec{.max_restarts = 1000000, .one_process = true};
  spec.children.push_back(troupe::Child::actor<Phoenix>("phoenix"));
  spec.children.push_back(troupe::Child::actor<Prober>("prober", troupe::ChildOptions{.restart = troupe::Restart::transient}));
  troupe::Supervisor supervisor("", spec);
  supervisor.start();
  const double deadline = bench::now() + std::chrono::duration<double>(kLong).count();
  while (board->median_us == 0) {
    if (bench::now() > deadline) throw std::runtime_error("it does not come back");
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  supervisor.stop();
  return board->median_us;
}

// Each restart is told there.
class Muted {
 public:
  Muted() : kept_(dup(STDERR_FILENO)) {
    const int null = open("/dev/null", O_WRONLY);
    dup2(null, STDERR_FILENO);
    close(null);
  }
  ~Muted() {
    dup2(kept_, STDERR_FILENO);
    close(kept_);
  }
  Muted(const Muted&) = delete;
  Muted& operator=(const Muted&) = delete;

 private:
  int kept_;
};

}  // namespace

int main(int argc, char** argv) {
  const bench::Shared<Board> shared;
  board = &*shared;
  std::optional<Muted> muted(std::in_place);  // for root and its children
  const troupe::Program program(argc, argv);
  muted.reset();
  bench::Suite suite("restart", argc, argv);
  suite.measure({.name = "actor in a process whose handler throws, until the next is there", .unit = "us", .ours = restart_us,
                 .target = bench::at_most(50)});
  if (bench::erlang_is_here())
    suite.compare({.name = "the same, beside Erlang", .unit = "us", .ours = restart_us, .theirs = [] { return bench::erlang("restart"); },
                   .peer = "OTP's supervisor of a gen_server"});
  return suite.finish();
}
