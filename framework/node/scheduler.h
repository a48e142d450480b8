#pragma once

#include <cstddef>
#include <memory>

namespace troupe::detail {
class Cell;
}

namespace troupe::node {

// CAF, which runs the actors of this process: each cell has a CAF actor, its shell, that lives, is scheduled and ends with it. This
// header is all that the other files of the room see of CAF.
//
// Frames do not become CAF messages: the loop activates the shell of their receiver directly, which is sound because one thread
// runs all actors, never from inside a handler, and only while the shell's CAF mailbox is empty.
//
// Threads: confined to the node's thread; CAF actors of other threads may send to shells.
class Scheduler {
 public:
  // `wake` is called, from any thread, when one that is not the node's has given CAF work.
  explicit Scheduler(void (*wake)(void*), void* what);
  ~Scheduler();
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  class Shell;

  // A shell, not yet run. It is the cell's until release().
  Shell* spawn(detail::Cell& cell);
  void release(Shell* shell);

  // The shell has nothing under way, so that activate() is allowed.
  [[nodiscard]] bool idle(const Shell* shell) const;
  // Runs cell.execute() in the shell, now. Not from inside a handler.
  void activate(Shell* shell);
  // Runs cell.execute_mailbox() in the shell from run_jobs(), some time soon.
  void schedule(Shell* shell);

  // Ends it, with cell.ended(), now. Not from inside a handler.
  void end(Shell* shell);

  // Runs up to `max` shells that were scheduled; how many.
  std::size_t run_jobs(std::size_t max);
  [[nodiscard]] bool has_jobs() const;

 private:
  class Coordinator;
  class Config;
  struct System;
  std::unique_ptr<System> system_;
};

}  // namespace troupe::node
