#pragma once

#include <memory>

namespace troupe {

// The beginning of every program that uses troupe: the first line of main.
//
//     int main(int argc, char** argv) {
//       troupe::Program program(argc, argv);
//       …
//     }
//
// It forks. The process that the shell started stays behind as guard, its child as root, and neither comes back from here; main
// goes on in a child of root. Processes started later are copies of root as it was here: they see what was set up before this
// line, and nothing that main changes later.
//
// What holds: when main returns, or calls exit(), its daemons are stopped and it waits for the other processes that it started,
// as Python does: for ever for one that does not end by itself, such as an actor's that nobody stops. When it ends otherwise,
// by an exception or a signal, all are ended in order (SIGTERM, then SIGKILL). The command ends as main did. When guard or root
// is killed, everything goes, with all that user code forked; nothing is left in /dev/shm or /tmp.
//
// Throws std::logic_error if it is not the first line: when threads run already, or there is a Program. Throws SystemError.
//
// Threads: made and destroyed by main's thread.
class Program {
 public:
  Program(int argc, char** argv);
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

 private:
  struct State;
  std::unique_ptr<State> state_;
  int exceptions_;  // in flight when it was made
};

}  // namespace troupe
