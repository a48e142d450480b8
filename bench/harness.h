#pragma once

#include <sys/types.h>

#include <cstddef>
#include <functional>
#include <new>
#include <optional>
#include <string>
#include <vector>

// What every benchmark shares. Each bench/*_bench.cpp is a program of its own:
//
//     int main(int argc, char** argv) {
//       bench::Suite suite("ring", argc, argv);
//       for (auto where : {bench::Placement::both(), bench::Placement::one()})
//         suite.compare({.name = "64 B frames, one way, " + where.name,
//                        .unit = "frames/s",
//                        .ours = [=] { return ring_rate(where, 2'000'000); },
//                        .theirs = [=] { return bench::bare_ring_rate(where, 64, 2'000'000); },
//                        .peer = "bare one-writer ring",
//                        .target = bench::at_least(0.8)});
//       return suite.finish();
//     }
//
// A measurement is a function that does its work once, for 0.1 to 0.5 s, and returns one number (a rate or a time). It may throw: its
// row then reads FAILED and finish() returns 1. Peers that need nothing but the kernel are in peers.h.
namespace bench {

// Which CPU this process and its peer are to run on; -1 is any. The suite pins nothing by itself: call pin(where.self), and give
// where.peer to Child or to pin() in the other process.
struct Placement {
  std::string name;
  int self = -1;
  int peer = -1;

  static Placement both();      // "two CPUs": one each; throws where only one CPU may be used
  static Placement one();       // "one CPU": both on the same
  static Placement unpinned();  // "unpinned": as the scheduler likes
};

// Confines the calling thread and what it forks later to `cpu`; -1 gives back all CPUs that the process was started with.
void pin(int cpu);

// What a result is held against: a multiple of theirs in compare(), a number in the row's unit in measure().
struct Target {
  enum class Sense { at_least, at_most } sense;
  double value;
};
inline Target at_least(double value) { return {Target::Sense::at_least, value}; }
inline Target at_most(double value) { return {Target::Sense::at_most, value}; }

// Two ways to the same end, run in turn (ours, theirs, ours, theirs …), so that drift of the machine meets both.
struct Comparison {
  std::string name;
  std::string unit;
  std::function<double()> ours;
  std::function<double()> theirs;
  std::string peer;
  std::optional<Target> target = {};
};

// A figure that stands alone.
struct Measurement {
  std::string name;
  std::string unit;
  std::function<double()> ours;
  std::optional<Target> target = {};
  bool once = false;  // takes long, and says the same each time
};

// Median, least and greatest of the repetitions.
struct Spread {
  double median = 0;
  double least = 0;
  double greatest = 0;
};
[[nodiscard]] Spread spread_of(std::vector<double> values);

// The rows of one program. Arguments: [NAME…] only rows with one of these in "suite: row"; --json FILE; --reps N (5); --list.
// Exits with status 2 on anything else.
//
// Threads: confined to one.
class Suite {
 public:
  Suite(std::string name, int argc, char** argv);

  // True if compare() or measure() would run a row of this name; for what is dear to prepare.
  [[nodiscard]] bool wanted(const std::string& row) const;

  void compare(const Comparison& row);
  void measure(const Measurement& row);

  // Writes the JSON file. What main returns: 1 if a row failed to run (a missed target is a result, not a failure).
  [[nodiscard]] int finish();

 private:
  struct Row {
    std::string name, unit, peer;
    Spread ours;
    std::optional<Spread> theirs;
    std::optional<Target> target;
    std::string error;
    [[nodiscard]] std::optional<double> ratio() const;
    [[nodiscard]] std::optional<bool> pass() const;
  };
  void run(Row row, const std::function<double()>& ours, const std::function<double()>& theirs, int repetitions);
  void print(const Row& row);

  std::string name_;
  std::vector<std::string> filters_;
  std::string json_file_;
  int repetitions_ = 5;
  bool list_only_ = false;
  bool printed_ = false;
  std::vector<Row> rows_;
};

// Runs `body` in a forked process on `cpu`. The process dies with its parent, or after 60 s; the destructor waits for it.
// join() throws std::runtime_error if it did not end with exit code 0; the destructor only reports it on stderr.
class Child {
 public:
  Child(int cpu, const std::function<void()>& body);
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  void join();
  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  pid_t pid_;
};

// A zeroed block of `size` bytes that processes forked later share; unmapped at the end.
class SharedBlock {
 public:
  explicit SharedBlock(std::size_t size);
  ~SharedBlock();
  SharedBlock(const SharedBlock&) = delete;
  SharedBlock& operator=(const SharedBlock&) = delete;
  [[nodiscard]] void* data() const { return data_; }

 private:
  void* data_;
  std::size_t size_;
};

// A T in memory that processes forked later share.
template <class T>
class Shared {
 public:
  Shared() : block_(sizeof(T)), value_(new (block_.data()) T{}) {}
  T* operator->() const { return value_; }
  T& operator*() const { return *value_; }

 private:
  SharedBlock block_;
  T* value_;
};

// Seconds on the monotonic clock.
[[nodiscard]] double now();

// Keeps the compiler from dropping work whose result nobody reads.
template <class T>
void keep(const T& value) {
  asm volatile("" : : "r"(&value) : "memory");
}

}  // namespace bench
