#pragma once

#include <signal.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace troupe::test {

// Sanitizers multiply the instructions by ten and watch processes with ptrace themselves: sweeps are for plain builds.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kStepperWorks = false;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
inline constexpr bool kStepperWorks = false;
#else
inline constexpr bool kStepperWorks = true;
#endif
#else
inline constexpr bool kStepperWorks = true;
#endif

// For the victim: what lies between its first and its second mark() is stepped through.
void mark();

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

  // Runs on without stepping to the next mark or to its end.
  Stop run();

  // SIGKILL, here and now; returns when it is gone.
  void kill();

  [[nodiscard]] pid_t pid() const { return pid_; }
  // Where it stands, for messages.
  [[nodiscard]] std::uintptr_t instruction_pointer() const;

 private:
  Stop resume(int request);
  void reaped() { pid_ = -1; }

  pid_t pid_ = -1;
  std::vector<int> cpus_;
  sigset_t signals_{};
  bool blocked_ = false;
};

// The result of killing at many points. A check returns what is wrong, or nothing.
struct Sweep {
  std::size_t points = 0;
  std::size_t failures = 0;
  std::string first_failure;

  void count(const std::string& wrong);
};

// Kills a victim for real at every instruction between its marks, a new one each time. `prepare` makes the state that it finds,
// `check` looks at what is left when it is gone; the last one is killed standing at its second mark, or where it blocks. Long
// ones may be swept in a stride: at every so-manieth instruction.
Sweep kill_at_every_instruction(const std::function<void()>& prepare, const std::function<void()>& victim,
                                const std::function<std::string()>& check, std::size_t stride = 1);

// The same without a kill, which leaves memory as it is: steps through one victim and, whenever `memory` changed (it is shared
// with the victim), gives `check` a copy of it. Ten times as fast, but nothing that the kernel does at a death happens.
Sweep look_at_every_change(std::span<const std::byte> memory, const std::function<void()>& victim,
                           const std::function<std::string(std::span<std::byte> copy)>& check);

}  // namespace troupe::test
