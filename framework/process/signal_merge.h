#pragma once

#include <array>
#include <csignal>
#include <functional>

#include <troupe/duration.h>

#include "process/timers.h"

namespace troupe::process {

// Makes one signal of the copies that a tree gets of it: whoever signals the process group reaches guard, root and main, guard
// hands its copy on to root, and `timeout` signals guard once more by itself.
//
// Threads: a value.
class SignalMerge {
 public:
  enum class From {
    terminal,  // the kernel, to the whole group: guard hands none on
    guard,     // handed on by guard
    others,    // anybody, to root: with its group or alone
  };
  struct Merged {
    int signal;
    bool to_group;  // main had a copy of its own
  };

  // The first copy of a signal opens a window of kWindow; merged(…) is called when it closes, by `timers`.
  SignalMerge(Timers& timers, std::function<void(Merged)> merged) : timers_(timers), merged_(std::move(merged)) {}

  void add(int signal, From from, Clock::time_point now);

  // A signal has come that is not told yet.
  [[nodiscard]] bool open() const { return open_ != 0; }

  static constexpr Duration kWindow = std::chrono::milliseconds(20);

 private:
  struct Seen {
    bool guard = false;
    bool others = false;
  };
  Timers& timers_;
  std::function<void(Merged)> merged_;
  std::array<Seen, NSIG> seen_{};
  int open_ = 0;  // windows
};

}  // namespace troupe::process
