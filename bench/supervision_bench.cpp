// Topologies as the command runs them: how long an actor is away whose process was killed, and what it costs to wait.

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>

#include <fmt/format.h>

#include "erlang.h"
#include "harness.h"
#include "proc.h"

namespace {

constexpr unsigned kRunSecondsMax = 60;

std::string topology(int killers, int kills) {
  return fmt::format(R"([topology]
name = "bench"

[supervisor]
max_restarts = 1000000
max_seconds = "1h"
backoff = {{ min = "0s" }}

[[process]]
name = "phoenix"
actor = "phoenix"
library = "{0}"

[[process]]
name = "killer"
actor = "killer"
library = "{0}"
count = {1}
args = {{ kills = {2} }}
)",
                     TROUPE_BENCH_ACTORS, killers, kills);
}

// `troupe run` of that topology, until it is destroyed.
class Run {
 public:
  explicit Run(const std::string& text) {
    char name[] = "/tmp/troupe-bench-XXXXXX";
    close(mkstemp(name));
    file_ = name;
    std::ofstream(file_) << text;
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) throw std::system_error(errno, std::generic_category(), "pipe2");
    pid_ = fork();
    if (pid_ == 0) {
      dup2(ends[1], STDOUT_FILENO);
      dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);  // it tells of every restart
      alarm(kRunSecondsMax);                             // kept by exec
      execl(TROUPE_COMMAND, TROUPE_COMMAND, "run", name, nullptr);
      _exit(127);
    }
    close(ends[1]);
    output_.reset(fdopen(ends[0], "r"));
  }
  ~Run() {
    kill(pid_, SIGTERM);
    waitpid(pid_, nullptr, 0);
    std::filesystem::remove(file_);
  }
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  [[nodiscard]] pid_t pid() const { return pid_; }
  // What the next killer says that has done its work.
  double median_us() {
    double us = 0;
    if (std::fscanf(output_.get(), " median %lf", &us) != 1) throw std::runtime_error("the topology ended early");
    return us;
  }

 private:
  std::string file_;
  pid_t pid_ = 0;
  std::unique_ptr<FILE, int (*)(FILE*)> output_{nullptr, fclose};
};

double kill_to_answer_ms(int kills) { return Run(topology(1, kills)).median_us() / 1e3; }

std::map<pid_t, long> switches_below(pid_t pid) {
  std::map<pid_t, long> switches;
  for (const pid_t each : bench::tree_of(pid)) switches[each] = bench::switches_of(each);
  return switches;
}

// All processes of the tree together, guard and root included, once the actors have talked to one another.
double idle_wake_ups(std::chrono::seconds time) {
  constexpr int kKillers = 4;
  Run run(topology(kKillers, 0));
  for (int i = 0; i < kKillers; ++i) run.median_us();
  std::this_thread::sleep_for(std::chrono::seconds(1));  // what there was to do is done
  const auto before = switches_below(run.pid());
  std::this_thread::sleep_for(time);
  const auto after = switches_below(run.pid());
  if (before.size() != kKillers + 3 || after.size() != before.size()) throw std::runtime_error("not the tree that was started");
  double sum = 0;
  for (const auto& [pid, switches] : after) sum += static_cast<double>(switches - before.at(pid));
  return sum;
}

}  // namespace

int main(int argc, char** argv) {
  bench::Suite suite("supervision", argc, argv);
  suite.measure({.name = "SIGKILL of a process to its replacement's answer",
                 .unit = "ms",
                 .ours = [] { return kill_to_answer_ms(50); },
                 .target = bench::at_most(5)});
  if (bench::erlang_is_here())
    suite.compare({.name = "the same, beside Erlang",
                   .unit = "ms",
                   .ours = [] { return kill_to_answer_ms(50); },
                   .theirs = [] { return bench::erlang("kill") / 1e3; },
                   .peer = "a process of Erlang's own, in one of the system's"});
  suite.measure({.name = "idle topology, wake-ups of all in 10 s",
                 .unit = "",
                 .ours = [] { return idle_wake_ups(std::chrono::seconds(10)); },
                 .target = bench::at_most(0),
                 .once = true});
  return suite.finish();
}
