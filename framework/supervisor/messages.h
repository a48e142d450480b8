#pragma once

#include <sys/types.h>

#include <deque>
#include <string>

#include "process/root.h"
#include "supervisor/events.h"

namespace troupe::supervisor {

// What root tells people about a tree, on standard error, line by line.
//
//     Messages messages(root);
//     messages.say("`worker` killed by SIGSEGV; restart 1 now");
//
// What holds: root never waits for whoever reads. A line for which there is no room now (a full pipe, or a terminal that another
// process is just writing to) is kept and tried again; beyond kWaitingMax the oldest are dropped, and that is said.
//
// Threads: confined to root's one thread.
class Messages {
 public:
  explicit Messages(process::Root& root);
  ~Messages();
  Messages(const Messages&) = delete;
  Messages& operator=(const Messages&) = delete;

  // `what` does not end with a newline; it begins with "troupe: " then.
  void say(const std::string& what);
  // The last chance for what is kept: waits for a reader, but not for long.
  void flush();

  static constexpr std::size_t kWaitingMax = 256;

 private:
  bool write_first();
  void try_again();

  process::Root& root_;
  std::deque<std::string> waiting_;
  std::size_t dropped_ = 0;
  process::Root::TimerId timer_ = 0;
};

// What was decided about a child, in a line: "`counters/counter.2` killed by SIGKILL; restart 3 in 200ms (it was pid 4711)", and below
// what else is known of its death. Empty for a normal end.
std::string describe(const std::string& path, const command::Note& note, pid_t pid);
// What else is known of a death: lines to be put below one about it, each behind a newline.
std::string below(Death death);

}  // namespace troupe::supervisor
