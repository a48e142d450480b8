#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "os/descriptor.h"

namespace troupe::test {

// A program under test, run with its standard output and error kept.
//
//     Command command({TROUPE_COMMAND, "check", "file.toml"}, {"INPUT=/usr/include"});
//     auto result = command.wait();
//     CHECK(result.exit_code == 0);
//
// The destructor kills one that still runs.
//
// Threads: confined to one thread.
class Command {
 public:
  struct Result {
    int exit_code = 0;  // or -signal
    std::string out;
    std::string err;
  };

  // `words`: the path of the program and its arguments; `environment`: "NAME=value", added to ours.
  explicit Command(std::vector<std::string> words, const std::vector<std::string>& environment = {});
  ~Command();
  Command(const Command&) = delete;
  Command& operator=(const Command&) = delete;

  [[nodiscard]] pid_t pid() const { return pid_; }
  // It has not ended yet.
  [[nodiscard]] bool running() const;
  // All processes below it whose name (/proc/PID/comm) begins with `name`.
  [[nodiscard]] std::vector<pid_t> processes(const std::string& name) const;
  void signal(int number) const;
  Result wait();

 private:
  os::Descriptor out_;
  os::Descriptor err_;
  pid_t pid_ = 0;  // 0 once waited for
};

// What a shell command line prints.
std::string shell(const std::string& line);

}  // namespace troupe::test
