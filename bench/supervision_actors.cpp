// The actors of supervision_bench's topologies: one that is killed and comes back, and one that kills it and asks until it does.

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <vector>

#include <troupe/catalog.h>

#include "supervision_bench.capnp.h"

namespace supervision_bench {

namespace {

class Phoenix : public troupe::Actor {
 public:
  explicit Phoenix(troupe::Context& context) : Actor(context) {
    on<Who, Pid>([](Who::Reader, Pid::Builder pid) { pid.setValue(::getpid()); });
  }
};

// Says "median MICROSECONDS" on standard output when it is done, which is at once when it is to kill nobody; then idles on.
class Killer : public troupe::Actor {
 public:
  Killer(troupe::Context& context, KillerArguments::Reader arguments) : Actor(context), left_(arguments.getKills()) { find(); }

 private:
  void find() {
    look_up("phoenix").then([this](troupe::Address phoenix) { phoenix_ = phoenix, ask_it(); });
  }

  // Whoever answers with a pid that was not killed is the replacement.
  void ask_it() {
    ask<Who, Pid>(phoenix_).then([this](Pid::Reader pid) { pid.getValue() == killed_ ? ask_it() : answered(pid.getValue()); },
                                 [this](const troupe::Error&) { find(); });
  }

  void answered(pid_t pid) {
    if (killed_ != 0) times_.push_back(std::chrono::steady_clock::now() - begin_);
    if (left_-- <= 0) return report();
    after(std::chrono::milliseconds(2), [this, pid] {  // so that what the last one left to do is done
      killed_ = pid;
      begin_ = std::chrono::steady_clock::now();
      ::kill(pid, SIGKILL);
      ask_it();
    });
  }

  void report() {
    std::ranges::sort(times_);
    const auto median = times_.empty() ? std::chrono::nanoseconds{} : times_[times_.size() / 2];
    std::printf("median %f\n", std::chrono::duration<double, std::micro>(median).count());
    std::fflush(stdout);
  }

  troupe::Address phoenix_;
  int left_;
  pid_t killed_ = 0;
  std::chrono::steady_clock::time_point begin_;
  std::vector<std::chrono::nanoseconds> times_;
};

}  // namespace

}  // namespace supervision_bench

extern "C" void troupe_actors(troupe::ActorCatalog& catalog) {
  catalog.add<supervision_bench::Phoenix>("phoenix");
  catalog.add<supervision_bench::Killer, supervision_bench::KillerArguments>("killer");
}
