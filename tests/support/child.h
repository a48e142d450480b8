#pragma once

#include <sys/types.h>

#include <functional>

namespace troupe::test {

// A forked process that runs `body`. It dies with its parent and after 60 s; the destructor kills it and takes its end from the
// kernel, so that a failed test leaves nothing behind.
class Child {
 public:
  // `body`'s result is the exit code; an exception that leaves it is printed, and the code is 99.
  explicit Child(const std::function<int()>& body);
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  [[nodiscard]] pid_t pid() const { return pid_; }
  void kill(int signal) const;
  // Waits for its end: the exit code, or minus the signal.
  int wait();

 private:
  pid_t pid_;
};

}  // namespace troupe::test
