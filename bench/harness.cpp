#include "harness.h"

#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <system_error>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace bench {
namespace {

constexpr unsigned kChildSecondsMax = 60;

[[noreturn]] void fail(const char* what) { throw std::system_error(errno, std::generic_category(), what); }

// As it was when the program started, before anybody pinned anything.
const cpu_set_t& cpus_at_start() {
  static const cpu_set_t cpus = [] {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0) fail("sched_getaffinity");
    return set;
  }();
  return cpus;
}

// The n-th CPU that we may use.
int nth_cpu(int n) {
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &cpus_at_start()) && n-- == 0) return cpu;
  throw std::runtime_error("too few CPUs for this placement");
}

// "41.2 M", "870 k", "0.43": three digits are all that a median of five is worth.
std::string compact(double value) {
  if (value >= 1e6) return fmt::format("{:.3g} M", value / 1e6);
  if (value >= 1e3) return fmt::format("{:.3g} k", value / 1e3);
  return fmt::format("{:.3g}", value);
}

std::string describe(const Spread& spread) {
  return fmt::format("{} ({} – {})", compact(spread.median), compact(spread.least), compact(spread.greatest));
}

std::string describe(const Target& target, bool relative) {
  return fmt::format("{} {:g}{}", target.sense == Target::Sense::at_least ? "≥" : "≤", target.value, relative ? " ×" : "");
}

nlohmann::ordered_json to_json(const Spread& spread) { return {{"least", spread.least}, {"greatest", spread.greatest}}; }

template <class T>
nlohmann::ordered_json or_null(const std::optional<T>& value) {
  return value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json();
}

}  // namespace

Placement Placement::both() { return {"two CPUs", nth_cpu(0), nth_cpu(1)}; }
Placement Placement::one() { return {"one CPU", nth_cpu(0), nth_cpu(0)}; }
Placement Placement::unpinned() { return {"unpinned", -1, -1}; }

void pin(int cpu) {
  cpu_set_t set = cpus_at_start();
  if (cpu >= 0) {
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
  }
  if (sched_setaffinity(0, sizeof set, &set) != 0) fail("sched_setaffinity");
}

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

Spread spread_of(std::vector<double> values) {
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  return {values[values.size() / 2], values.front(), values.back()};
}

Suite::Suite(std::string name, int argc, char** argv) : name_(std::move(name)) {
  static_cast<void>(cpus_at_start());
  const auto value = [&](int& i) -> std::string {
    if (++i < argc) return argv[i];
    fmt::print(stderr, "{}: {} needs a value\n", argv[0], argv[i - 1]);
    std::exit(2);
  };
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--json") {
      json_file_ = value(i);
    } else if (argument == "--reps") {
      repetitions_ = std::clamp(std::atoi(value(i).c_str()), 1, 1000);
    } else if (argument == "--list") {
      list_only_ = true;
    } else if (argument.starts_with('-')) {
      fmt::print(stderr, "usage: {} [NAME…] [--json FILE] [--reps N] [--list]\n", argv[0]);
      std::exit(2);
    } else {
      filters_.push_back(argument);
    }
  }
}

bool Suite::wanted(const std::string& row) const {
  const std::string full = name_ + ": " + row;
  return filters_.empty() || std::any_of(filters_.begin(), filters_.end(),
                                         [&](const std::string& filter) { return full.find(filter) != std::string::npos; });
}

void Suite::compare(const Comparison& row) {
  run({.name = row.name, .unit = row.unit, .peer = row.peer, .ours = {}, .theirs = Spread{}, .target = row.target, .error = {}},
      row.ours, row.theirs, repetitions_);
}

void Suite::measure(const Measurement& row) {
  run({.name = row.name, .unit = row.unit, .peer = {}, .ours = {}, .theirs = {}, .target = row.target, .error = {}}, row.ours,
      {}, row.once ? 1 : repetitions_);
}

void Suite::run(Row row, const std::function<double()>& ours, const std::function<double()>& theirs, int repetitions) {
  if (!wanted(row.name)) return;
  if (list_only_) return fmt::print("{}: {}\n", name_, row.name);
  std::vector<double> our_values, their_values;
  try {
    for (int i = 0; i < repetitions; ++i) {
      our_values.push_back(ours());
      if (theirs) their_values.push_back(theirs());
    }
    row.ours = spread_of(our_values);
    if (theirs) row.theirs = spread_of(their_values);
  } catch (const std::exception& error) {
    row.error = error.what();
  }
  pin(-1);
  print(row);
  rows_.push_back(std::move(row));
}

std::optional<double> Suite::Row::ratio() const {
  if (!error.empty() || !theirs || theirs->median == 0) return {};
  return ours.median / theirs->median;
}

std::optional<bool> Suite::Row::pass() const {
  if (!error.empty()) return false;
  if (!target) return {};
  const double value = theirs ? ratio().value_or(0) : ours.median;
  return target->sense == Target::Sense::at_least ? value >= target->value : value <= target->value;
}

void Suite::print(const Row& row) {
  if (!std::exchange(printed_, true)) {
    fmt::print("\n{:<48} {:<26} {:<26} {:>8} {:>9}\n", name_, "ours (least – greatest)", "theirs", "ratio", "target");
  }
  if (!row.error.empty()) {
    fmt::print("  {:<46} FAILED: {}\n", row.name, row.error);
  } else {
    const auto verdict = row.pass();
    fmt::print("  {:<46} {:<26} {:<26} {:>8} {:>9} {:<4} {}\n", row.unit.empty() ? row.name : row.name + ", " + row.unit,
               describe(row.ours), row.theirs ? describe(*row.theirs) : "",
               row.ratio() ? fmt::format("{:.2f} ×", *row.ratio()) : "",
               row.target ? describe(*row.target, row.theirs.has_value()) : "", verdict ? (*verdict ? "pass" : "MISS") : "",
               row.peer);
  }
  std::fflush(stdout);
}

int Suite::finish() {
  auto all = nlohmann::ordered_json::array();
  bool failed = false;
  for (const Row& row : rows_) {
    failed |= !row.error.empty();
    nlohmann::ordered_json object = {
        {"name", name_ + ": " + row.name},
        {"unit", row.unit},
        {"ours", row.error.empty() ? nlohmann::ordered_json(row.ours.median) : nlohmann::ordered_json()},
        {"theirs", row.error.empty() && row.theirs ? nlohmann::ordered_json(row.theirs->median) : nlohmann::ordered_json()},
        {"peer", row.peer.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(row.peer)},
        {"ratio", or_null(row.ratio())},
        {"target", row.target ? nlohmann::ordered_json(row.target->value) : nlohmann::ordered_json()},
        {"pass", or_null(row.pass())}};
    if (row.target) object["sense"] = row.target->sense == Target::Sense::at_least ? "at_least" : "at_most";
    if (!row.error.empty()) {
      object["error"] = row.error;
    } else {
      object["ours_spread"] = to_json(row.ours);
      if (row.theirs) object["theirs_spread"] = to_json(*row.theirs);
    }
    all.push_back(std::move(object));
  }
  if (!json_file_.empty()) {
    std::ofstream file(json_file_);
    file << all.dump(2) << '\n';
    if (!file.flush()) {
      fmt::print(stderr, "cannot write {}\n", json_file_);
      return 1;
    }
  }
  return failed ? 1 : 0;
}

Child::Child(int cpu, const std::function<void()>& body) : pid_(-1) {
  std::fflush(nullptr);
  const pid_t parent = getpid();
  pid_ = fork();
  if (pid_ < 0) fail("fork");
  if (pid_ > 0) return;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);
  alarm(kChildSecondsMax);
  try {
    pin(cpu);
    body();
  } catch (const std::exception& error) {
    fmt::print(stderr, "benchmark's child: {}\n", error.what());
    _exit(1);
  }
  std::fflush(nullptr);
  _exit(0);
}

Child::~Child() {
  try {
    join();
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
  }
}

void Child::join() {
  if (pid_ < 0) return;
  int status = 0;
  const pid_t pid = std::exchange(pid_, -1);
  while (waitpid(pid, &status, 0) < 0)
    if (errno != EINTR) fail("waitpid");
  if (status != 0) throw std::runtime_error(fmt::format("benchmark's child ended with status {:#x}", status));
}

SharedBlock::SharedBlock(std::size_t size) : data_(nullptr), size_(size) {
  data_ = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (data_ == MAP_FAILED) fail("mmap");
}

SharedBlock::~SharedBlock() { munmap(data_, size_); }

}  // namespace bench
