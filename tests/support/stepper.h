#pragma once

#include <signal.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "support/sanitizers.h"

namespace troupe::test {

// Sanitizers multiply the instructions by ten and watch processes with ptrace themselves: sweeps are for plain builds.
inline constexpr bool kStepperWorks = !kSanitized;

// For the victim: what lies between its first and its second mark() is stepped through.
void mark();

// Where a victim stood before each of its steps, so that others like it need not be stepped all the way.
struct Path {
  std::vector<std::uintptr_t> at;
  std::optional<std::size_t> sleeps_at = {};  // the step in which it fell asleep the first time

  // All but the last, which came to the second mark or slept for good.
  [[nodiscard]] std::size_t steps() const { return at.empty() ? 0 : at.size() - 1; }
};

// A forked process that is run one machine instruction at a time, to see what it leaves behind if it dies there.
//
//     Stepper victim([&] { mark(); queue.put(1); mark(); });
//     while (victim.step() == Stepper::Stop::instruction) look(shared_memory);
//
// The victim dies with the stepper; nothing of it is left then.
//
// Threads: the thread that made it (ptrace demands it).
class Stepper {
 public:
  // Forks, and runs `victim` as far as its first mark(). Throws std::runtime_error if it ends before.
  explicit Stepper(const std::function<void()>& victim);
  ~Stepper();
  Stepper(const Stepper&) = delete;
  Stepper& operator=(const Stepper&) = delete;

  enum class Stop {
    instruction,  // one more was executed (a whole system call, if it was one)
    mark,         // it stands at the second mark
    blocked,      // it sleeps in a system call; it may go on when somebody wakes it: step() again
    ended,
  };
  Stop step();

  // From here on step() notes where it stands.
  void record(Path& path) { path_ = &path; }
  // As step() until so many steps were made since the first mark, but by breakpoints: many times as fast. `path` is that of another
  // one that does the same. `instruction` if it came there; if it sleeps on the way, it may be called again.
  Stop to(const Path& path, std::size_t steps);

  // Runs on without stepping to the next mark or to its end.
  Stop run();

  // SIGKILL, here and now; returns when it is gone.
  void kill();

  [[nodiscard]] pid_t pid() const { return pid_; }
  // Where it stands, for messages.
  [[nodiscard]] std::uintptr_t instruction_pointer() const;

 private:
  // To a breakpoint, which is to be met so often.
  struct Leap {
    std::uintptr_t address;
    std::size_t hits;
    std::size_t steps;  // made when it has arrived
    std::optional<long> covered = {};  // what is under the breakpoint, while it is there
  };
  Stop resume(int request);
  [[nodiscard]] std::optional<Leap> plan(const Path& path, std::size_t steps) const;
  Stop follow(Leap& leap);
  void set_breakpoint(Leap& leap);
  bool clear_breakpoint(Leap& leap);
  void reaped() { pid_ = -1; }

  pid_t pid_ = -1;
  std::size_t steps_ = 0;
  Path* path_ = nullptr;
  std::optional<Leap> leap_;
  std::vector<int> cpus_;
  sigset_t signals_{};
  bool blocked_ = false;
};

// The result of killing at many points. A check returns what is wrong, or nothing.
struct Sweep {
  std::size_t points = 0;
  std::size_t failures = 0;
  std::size_t missed = 0;  // points at which no other victim came by again
  std::string first_failure;

  void count(const std::string& wrong);
};

// Kills a victim for real at every instruction between its marks, a new one each time. `prepare` makes the state that it finds,
// `check` looks at what is left when it is gone; the last one is killed standing at its second mark, or where it blocks. Long
// ones may be swept in a stride: at every so-manieth instruction. The first victim shows the others the way.
Sweep kill_at_every_instruction(const std::function<void()>& prepare, const std::function<void()>& victim,
                                const std::function<std::string()>& check, std::size_t stride = 1);

// The same without a kill, which leaves memory as it is: steps through one victim and, whenever `memory` changed (it is shared
// with the victim), gives `check` a copy of it. Ten times as fast, but nothing that the kernel does at a death happens.
Sweep look_at_every_change(std::span<const std::byte> memory, const std::function<void()>& victim,
                           const std::function<std::string(std::span<std::byte> copy)>& check);

}  // namespace troupe::test
