#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <vector>

#include <troupe/death.h>
#include <troupe/duration.h>
#include <troupe/limits.h>
#include <troupe/process_call.h>

namespace troupe {

struct ProcessOptions {
  std::string name = {};                                              // in ps and messages; else "Process-1", …
  Duration stop_timeout = std::chrono::seconds(5);                    // terminate(): from SIGTERM to SIGKILL
  std::vector<std::pair<std::string, std::string>> environment = {};  // beside what Program found
  std::optional<bool> daemon = {};                                    // else as whoever makes the Process
  bool keep_stderr = false;                                           // its last lines for its Death; printed all the same
  Limits limits = {};
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
// arguments: what main changed since is not there. So a captured pointer, `this` included, leads to a copy as old as that, or
// to nothing: those into the stack are refused, others cannot be told from numbers. It returns nothing or an int, its exit code
// (its lowest 8 bits); an exception is printed, and the code is 1. Then its own daemons are stopped, and its other processes
// waited for.
//
// Or a class says what runs. In the new process it is made anew from the arguments that it gave to Process:
//
//     class Greeter : public troupe::Process {
//      public:
//       explicit Greeter(std::string whom) : Process(this, whom), whom_(whom) {}
//       void run() override { std::cout << "hello, " << whom_ << '\n'; }
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
  requires(!std::is_base_of_v<Process, std::remove_cvref_t<F>>) explicit Process(F function, Args&&... args) : Process() {
    ProcessOptions options;
    auto call = detail::make_call(options, function, std::forward<Args>(args)...);
    prepare(std::move(call), std::move(options));
  }
  // Another program, looked for in $PATH. It is a process of the tree like the others; if it makes a troupe::Program, that joins it.
  static Process program(const std::string& path, const std::vector<std::string>& arguments = {}, ProcessOptions options = {});
  Process(Process&&) noexcept;
  Process& operator=(Process&&) noexcept;
  virtual ~Process();

  // What the new process does. Called by anybody else it does it here. Throws std::logic_error then, if it was started.
  virtual void run();

  // Throws std::logic_error when it was started already, or when a daemon calls it. That it could not be started is told as its death.
  void start();
  // Waits for its end. The second says whether it has ended in time. Throws std::logic_error when it was not started, or by another
  // process.
  void join();
  bool join(Duration timeout);
  // Started, and not ended as far as is known.
  [[nodiscard]] bool is_alive();
  // In order: SIGTERM, then SIGKILL when the stop time-out has passed. Returns at once; so does kill(), which is SIGKILL.
  // What it forked or executed itself goes with it, by SIGKILL.
  void terminate();
  void kill();
  // Gives back what is kept for it; all other calls then throw std::logic_error. Throws that itself while the process is alive.
  void close();

  [[nodiscard]] const std::string& name() const;
  // A daemon is stopped when its starter ends, not waited for, and starts no processes itself.
  [[nodiscard]] bool daemon() const;
  // Throw std::logic_error after start().
  void set_name(std::string name);
  void set_daemon(bool daemon);
  // Empty before start(), and if it could not be started.
  [[nodiscard]] std::optional<int> pid();
  // Empty before start() and while it lives; n, or minus the signal that ended it.
  [[nodiscard]] std::optional<int> exitcode();
  // The whole story, when there is an exit code.
  [[nodiscard]] std::optional<Death> death();
  // A descriptor (a pidfd) that is readable once it has ended; then there is an exit code. It is good as long as this object.
  // Throws std::logic_error before start().
  [[nodiscard]] int sentinel();

 protected:
  // Of a subclass, which says `this` and what its constructor was given; the last may be ProcessOptions.
  template <class Self, class... Args>
  requires(std::is_base_of_v<Process, Self>) explicit Process(Self*, Args&&... args) : Process() {
    if (made_inside()) return;
    ProcessOptions options;
    auto call = detail::make_subclass_call<Self>(options, std::forward<Args>(args)...);
    prepare(std::move(call), std::move(options), &typeid(Self));
  }
  // Its number in the tree, once started.
  [[nodiscard]] std::uint64_t id() const;

 private:
  struct State;
  Process();
  void prepare(detail::Call call, ProcessOptions options, const std::type_info* type = nullptr);
  [[nodiscard]] bool made_inside();
  [[nodiscard]] State& state() const;
  State& started();
  std::unique_ptr<State> state_;
  friend std::vector<Process> active_children();
};

// Whoever calls this.
struct CurrentProcess {
  std::string name;  // "MainProcess" in main
  int pid;
  bool daemon;
};
[[nodiscard]] CurrentProcess current_process();

// Whoever started the process that calls this: the Process object was there. None in main.
struct ParentProcess {
  std::string name;
  int pid;
};
[[nodiscard]] std::optional<ParentProcess> parent_process();

// The children of this process that have not ended, also those whose Process is gone. Each is one more Process for the same child.
[[nodiscard]] std::vector<Process> active_children();

// This process has more memory than Limits::memory_budget allows, as of a tenth of a second ago.
[[nodiscard]] bool over_memory_budget();

// CPUs that this process may keep busy: those that it may run on, or fewer where its cgroup has a quota (rounded up).
[[nodiscard]] int cpu_count();

}  // namespace troupe
