#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <troupe/death.h>
#include <troupe/duration.h>
#include <troupe/process_call.h>

namespace troupe {

struct ProcessOptions {
  std::string name = {};                                               // else "Process-1", "Process-2", …
  Duration stop_timeout = std::chrono::seconds(5);                     // terminate(): from SIGTERM to SIGKILL
  std::vector<std::pair<std::string, std::string>> environment = {};   // beside what Program found
};

// A function that runs in a process of its own, as Python's multiprocessing.Process.
//
//     void greet(std::string name, int times);
//
//     troupe::Process process(greet, "world", 3, troupe::ProcessOptions{.name = "greeter"});
//     process.start();
//     process.join();
//     if (process.exitcode() != 0) std::cerr << process.death()->describe() << '\n';
//
// The function is a pointer, or a lambda; a lambda may capture what is trivially copyable, by value. Arguments are values
// (troupe/value.h); they are copied when the Process is made. The function sees the program as it was at Program, and its own
// arguments: what main changed since is not there. What it returns, if that is an integer, is the exit code; an exception is
// printed, and the code is 1. Then its own processes are waited for.
//
// What holds: a process that dies, in whatever way, never leaves a join() hanging, and takes along all that it started or forked.
// The destructor does not end it: main waits for it at its end.
//
// Threads: calls on one Process must not overlap; several Processes are independent.
class Process {
 public:
  // The last argument may be ProcessOptions. Throws std::invalid_argument for a function that other processes do not have
  // (of a library loaded after Program), and for captured pointers into the stack.
  template <class F, class... Args>
    requires(!std::is_same_v<std::remove_cvref_t<F>, Process>)
  explicit Process(F function, Args&&... args) : Process() {
    ProcessOptions options;
    auto call = detail::make_call(options, function, std::forward<Args>(args)...);
    prepare(std::move(call), std::move(options));
  }
  Process(Process&&) noexcept;
  Process& operator=(Process&&) noexcept;
  ~Process();

  // Throws std::logic_error when it was started already. That it could not be started is told as its death.
  void start();
  // Waits for its end. The second says whether it has ended in time. Throws std::logic_error when it was not started.
  void join();
  bool join(Duration timeout);
  // Started, and not ended as far as is known.
  [[nodiscard]] bool is_alive();
  // In order: SIGTERM, then SIGKILL when the stop time-out has passed. Returns at once; so does kill(), which is SIGKILL.
  void terminate();
  void kill();

  [[nodiscard]] const std::string& name() const;
  // Empty before start(), and if it could not be started.
  [[nodiscard]] std::optional<int> pid();
  // Empty before start() and while it lives; n, or minus the signal that ended it.
  [[nodiscard]] std::optional<int> exitcode();
  // The whole story, when there is an exit code.
  [[nodiscard]] std::optional<Death> death();

 protected:
  // Its number in the tree, once started.
  [[nodiscard]] std::uint64_t id() const;

 private:
  struct State;
  Process();
  void prepare(detail::Call call, ProcessOptions options);
  State& started();
  std::unique_ptr<State> state_;
};

// Whoever calls this.
struct CurrentProcess {
  std::string name;  // "MainProcess" in main
  int pid;
};
[[nodiscard]] CurrentProcess current_process();

}  // namespace troupe
