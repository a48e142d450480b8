#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace troupe {

// How the life of a process or an actor ended. An actor and its process die each their own death. When a handler throws, those
// who had asked the actor or monitor it hear `exception`; who asks it or joins its process later hears how that ended: "exited
// with code 1: an actor threw an exception: …". Of one death everybody who waits hears the same.
//
//     std::cerr << death.describe() << '\n';   // "killed by SIGSEGV: at address 0x0"
//     std::cerr << death.report();             // that, and below it the stack and the last lines on standard error
//
// Threads: a value.
struct Death {
  enum class Cause : std::uint8_t {
    exited,           // by itself: `code` is the exit code, 0 for a normal end
    signalled,        // by a signal: `code` is its number
    stopped,          // in order: by its supervisor, terminate(), stop()
    exception,        // an actor whose handler threw; `detail` is what()
    failed_to_start,  // could not be forked, or its constructor threw; `detail` says why
    not_ready,        // did not say that it was ready in time
    unreachable,      // no such process, actor or name
    cascade,          // went down with another, which `detail` names: a supervisor that gave up on it, or a child that others go with
    out_of_memory,    // had more than its limit, or the kernel ran out of it
    hung,             // gave no sign of life in time, and was killed
  };
  static constexpr Cause kLastCause = Cause::hung;

  Cause cause = Cause::exited;
  int code = 0;
  std::string detail = {};  // one line; may be empty

  // What else is known. All of it may be empty, and all of it is bounded.
  std::chrono::system_clock::time_point time = {};  // when; the epoch if nobody saw it
  std::uint32_t restarts = 0;                       // of what died, so far, by its supervisor
  std::string message = {};                         // the type of the message that it had in hand
  std::vector<std::string> stack = {};              // where it was, innermost first: "crash() in demo+0x1234"
  std::vector<std::string> last_lines = {};         // of its standard error, oldest first, where that was kept

  // Python's exitcode: n, or -signal; 1 where there was no process to exit.
  [[nodiscard]] int exitcode() const;

  // An end that a transient child is not restarted for: exit code 0, or stopped in order.
  [[nodiscard]] bool normal() const;

  // One line for people: "killed by SIGKILL", "exited with code 3", "handler threw: no such file".
  [[nodiscard]] std::string describe() const;

  // All that is known, in several lines.
  [[nodiscard]] std::string report() const;

  // The rest of that: without the first line. Empty if there is nothing else to tell.
  [[nodiscard]] std::string evidence() const;

  // Whether they say the same: cause, code and detail. When it was, and what was seen, is not compared.
  friend bool operator==(const Death& a, const Death& b) {
    return a.cause == b.cause && a.code == b.code && a.detail == b.detail;
  }
};

}  // namespace troupe
