#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace troupe {

// How the life of a process or an actor ended. Every death yields one such record, and everyone who waits gets the same.
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
    cascade,          // went down because `detail` did
  };

  Cause cause = Cause::exited;
  int code = 0;
  std::string detail;  // one line; may be empty

  // Python's exitcode: n, or -signal; 1 where there was no process to exit.
  [[nodiscard]] int exitcode() const;

  // An end that a transient child is not restarted for: exit code 0, or stopped in order.
  [[nodiscard]] bool normal() const;

  // One line for people: "killed by SIGKILL", "exited with code 3", "handler threw: no such file".
  [[nodiscard]] std::string describe() const;

  bool operator==(const Death&) const = default;
};

}  // namespace troupe
