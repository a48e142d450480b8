#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

#include "os/descriptor.h"

namespace troupe::test {

// A terminal with a shell in it that knows job control, and one job of that shell, in the foreground and in a process group of its own.
//
//     Terminal terminal({TROUPE_COMMAND, "run", file});
//     terminal.wait_for("up");
//     terminal.type("\x1a");           // Ctrl-Z
//     terminal.wait_stopped();
//     terminal.foreground();           // fg
//     CHECK(terminal.end() == 0);
//
// The shell stays after the job has ended: when the leader of a session ends, the kernel throws away what its terminal has been
// given but nobody has read yet.
//
// Threads: confined to one thread.
class Terminal {
 public:
  // The job is `body`, in a process of its own, and ends with what that returns; or a command.
  explicit Terminal(const std::function<int()>& body);
  explicit Terminal(const std::vector<std::string>& words);
  ~Terminal();
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  // Reads until `text` has come `times` times; false if the job has ended, or stopped, without.
  bool wait_for(const std::string& text, int times = 1);
  void type(const std::string& keys) const;
  // To the process that the shell started alone.
  void signal(int number) const;
  // To its whole group.
  void signal_group(int number) const;
  // Waits until all of the job has stopped; false if it ended.
  bool wait_stopped();
  void foreground();
  // Closes the terminal, as a window is closed.
  void close() { master_.reset(); }
  // Waits for the end of the job: its exit code, or minus the signal.
  int end();

  [[nodiscard]] pid_t job() const { return job_; }
  [[nodiscard]] const std::string& output() const { return output_; }

 private:
  [[noreturn]] static void be_shell(const std::function<int()>& body, int orders, int reports);
  void wait_for_something();

  pid_t shell_ = -1;
  pid_t job_ = -1;
  os::Descriptor master_;
  os::Descriptor orders_;   // to the shell; it ends when this is closed
  os::Descriptor reports_;  // of the shell
  std::string output_;
  bool stopped_ = false;
  bool ended_ = false;
  int status_ = 0;
};

}  // namespace troupe::test
