#pragma once

#include <sys/types.h>

#include <cstddef>

namespace troupe::test {

// A process that is not ours, run from one system call to the next, to be killed between two of them: where all that it shares with
// others goes through sockets, nothing that others could see happens anywhere else.
//
//     Traced victim(pid);                          // it waits for us to say that we are there
//     go.set();
//     victim.to_mark() && victim.steps(7);
//     victim.kill();
//
// It is killed at the latest when this goes. The first thread counts.
//
// Threads: the thread that made it (ptrace demands it).
class Traced {
 public:
  // Throws SystemError where that is not allowed: see may_trace().
  explicit Traced(pid_t pid);
  ~Traced() { kill(); }
  Traced(const Traced&) = delete;
  Traced& operator=(const Traced&) = delete;

  // Runs it as far as its next mark() (see stepper.h). False if it ended before.
  bool to_mark();
  // To so many beginnings and ends of system calls. Fewer if it came to a mark or ended.
  std::size_t steps(std::size_t count);
  // SIGKILL; returns when it is dead, and its parent may reap it.
  void kill();

 private:
  enum class Stop { system_call, mark, ended };
  Stop resume(int request);

  pid_t pid_;
};

// Whether this kernel, and this machine's settings, let a process trace one that is not its child.
[[nodiscard]] bool may_trace(pid_t pid);

// For the victim: others may trace it.
void be_traceable();

}  // namespace troupe::test
