#pragma once

#include <sys/types.h>

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

namespace troupe::test {

// Processes that use what a victim used, and must get on without it.
//
// That they hang is seen, not guessed from the time that passes: when all of them sleep, twice, and none of them ran in between, then
// nobody is left to wake anybody. They must sleep for nothing but each other and the caller, and without time-outs.
//
// Threads: one. The destructor kills those that are left.
class Survivors {
 public:
  Survivors() = default;
  ~Survivors();
  Survivors(const Survivors&) = delete;
  Survivors& operator=(const Survivors&) = delete;

  // Forks one more; `body`'s result is its exit code, 99 an exception. Its number.
  std::size_t add(const std::function<int()>& body);
  // SIGKILL, and gone when it returns. It counts as one that ended well.
  void kill(std::size_t number);

  // Each of them has ended, or sleeps and did not run since the last look.
  bool quiet();

  // Waits until each of them has ended or sleeps; how many have ended.
  std::size_t settle();
  // What went wrong with those that ended, or, if all should have, with those that did not; or nothing.
  [[nodiscard]] std::string fault(bool all_ended) const;

 private:
  struct Process {
    pid_t pid;
    bool ended = false;
    int status = 0;
    std::string state = {};  // as last seen: its letter, and how often it was scheduled
  };
  bool look(Process& process) const;

  std::vector<Process> processes_;
};

}  // namespace troupe::test
