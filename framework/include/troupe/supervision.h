#pragma once

#include <cstdint>

#include <troupe/duration.h>

// The words of supervision, the same in programs and in topology files. They mean what they mean in Erlang/OTP.
namespace troupe {

// What happens to the other children when one dies that is to be restarted: nothing; all go down and up again; those after it do.
enum class Strategy : std::uint8_t { one_for_one, one_for_all, rest_for_one };

// Which ends a child is restarted after: all, those that are not normal (see Death::normal()), none.
enum class Restart : std::uint8_t { permanent, transient, temporary };

// Whether a supervisor ends when significant children end by themselves.
enum class AutoShutdown : std::uint8_t { never, any_significant, all_significant };

// A child that cannot be started the first time: give up at once, as OTP does, or count it as a restart and try again.
enum class FirstStart : std::uint8_t { abort, retry };

// How long to wait before a restart. The first one comes at once; from the second in a row on the wait is `min`, then `factor`
// times longer each time up to `max`, spread by `jitter` (0.2: ±20 %) so that children do not come back in step. A child that was
// up for `reset` starts over. `min` 0 turns it off.
struct Backoff {
  Duration min{0};
  Duration max = std::chrono::seconds(10);
  double factor = 2;
  double jitter = 0.2;
  Duration reset = std::chrono::seconds(10);
};

// What a child is doing.
enum class ChildState : std::uint8_t {
  stopped,   // not running, and nothing is to be done about it
  pending,   // to be started when its turn comes
  waiting,   // to be started when its back-off has passed
  starting,  // started, not ready yet
  running,
  stopping,  // asked to stop
  killing,   // killed, not yet gone
};

// What comes of asking a supervisor for something.
enum class ChildResult : std::uint8_t {
  ok,
  not_found,
  running,
  restarting,
  already_present,
  already_started,
  invalid,        // not allowed so under this supervisor
  failed,         // did not start; the Death says why
  shutting_down,  // the supervisor is ending, or has ended
};

}  // namespace troupe
