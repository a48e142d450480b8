#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <troupe/death.h>

#include "supervisor/spec.h"

namespace troupe::supervisor {

// One start of one child; never used twice by the same supervisor, so what is said of an earlier life is known for old.
using Life = std::uint32_t;

// Chosen by who asks; comes back in the answer.
using Request = std::uint64_t;

// Why a supervisor ended.
struct Outcome {
  enum class Why : std::uint8_t { stopped, done, gave_up, start_failed };
  Why why = Why::stopped;
  std::string child;     // the one that it gave up for, or that was the significant one
  unsigned restarts = 0;  // gave_up: how often children were restarted within max_seconds, the last attempt not counted
  Death death;           // how that child ended last

  // What the supervisor above sees. To give up is no normal end, unlike in OTP: a transient supervisor is then restarted, for
  // to lose a subtree without a word is never what was meant.
  [[nodiscard]] Death as_death() const;
};

namespace event {
struct Begin {};
struct Ready { Life life; };              // the child is up
struct Ended { Life life; Death death; };  // it died, or could not be started
struct Tick {};                            // deadline() has passed
struct Stop { std::optional<Death> why; };  // end in order; why, where it is not just that somebody wanted it
struct Kill { std::optional<Death> why; };  // end at once
struct StartChild { Request request; ChildSpec spec; };
struct TerminateChild { Request request; std::string id; };
struct RestartChild { Request request; std::string id; };
struct DeleteChild { Request request; std::string id; };
}  // namespace event

using Event = std::variant<event::Begin, event::Ready, event::Ended, event::Tick, event::Stop, event::Kill, event::StartChild,
                           event::TerminateChild, event::RestartChild, event::DeleteChild>;

using Result = troupe::ChildResult;

// What was decided about a child that ended by itself.
enum class Decision : std::uint8_t { restart, finished, gave_up };

namespace command {
struct Start { Life life; ChildSpec spec; unsigned restarts; };  // so often was it restarted before
struct Stop { Life life; std::optional<Death> why; };  // what its Death is to be, if it ends as asked and not just because it is to
struct Kill { Life life; std::optional<Death> why; };
struct Started {};                      // all children are up
struct Ended { Outcome outcome; };      // no child is left; nothing follows
struct Answer { Request request; Result result; Death death; };
// For people and logs; nothing is to be done.
struct Note { std::string child; Death death; Decision decision; Duration delay; unsigned restarts; };
}  // namespace command

using Command = std::variant<command::Start, command::Stop, command::Kill, command::Started, command::Ended, command::Answer,
                             command::Note>;

}  // namespace troupe::supervisor
