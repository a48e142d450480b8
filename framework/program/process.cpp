#include <troupe/process.h>

#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <iostream>
#include <stdexcept>
#include <utility>

#include "os/cpus.h"
#include "process/client.h"
#include "process/crash.h"
#include "process/execute.h"

namespace troupe {

namespace {

process::Client& client() {
  if (auto* here = process::Client::here()) return *here;
  throw std::logic_error("there is no troupe::Program here: make it the first line of main");
}

// As Python names them: Process-1 in main, Process-1:1 in that.
std::string default_name() {
  static std::atomic<int> count = 0;
  const auto& mine = client().name();
  const std::string number = std::to_string(++count);
  return client().self() == process::kMain ? "Process-" + number : mine + ":" + number;
}

// As Python does: so what was printed before a process was started stands before what that prints.
void flush_standard_streams() {
  std::cout.flush();
  std::fflush(stdout);
}

// The next Process made by this thread is the one that this process is.
thread_local bool inside_next = false;

struct Stack {
  std::uintptr_t begin;
  std::uintptr_t end;
};

Stack stack_of_this_thread() {
  pthread_attr_t attributes;
  void* begin = nullptr;
  std::size_t size = 0;
  if (pthread_getattr_np(pthread_self(), &attributes) != 0) return {0, 0};
  pthread_attr_getstack(&attributes, &begin, &size);
  pthread_attr_destroy(&attributes);
  return {reinterpret_cast<std::uintptr_t>(begin), reinterpret_cast<std::uintptr_t>(begin) + size};
}

}  // namespace

namespace detail {

void check_function(const void* function) { client().check_entry(reinterpret_cast<process::Entry>(const_cast<void*>(function))); }

// A closure that captures by reference is trivially copyable too; the copy would read a stack that is not there.
void check_captures(std::span<const std::byte> captures) {
  const Stack stack = stack_of_this_thread();
  for (; captures.size() >= sizeof(std::uintptr_t); captures = captures.subspan(sizeof(std::uintptr_t))) {
    std::uintptr_t word;
    std::memcpy(&word, captures.data(), sizeof word);
    if (word >= stack.begin && word < stack.end) {
      throw std::invalid_argument("a function for another process captures a reference or pointer to a local variable, which is not "
                                  "there: capture by value, or give it as an argument");
    }
  }
}

void enter_subclass() { inside_next = true; }

}  // namespace detail

struct Process::State {
  detail::Call call;
  ProcessOptions options;
  process::ProcessId id = process::kNoProcess;  // once started
  const std::type_info* type = nullptr;         // of the subclass that it was made as
  bool inside = false;                          // the process that this is
};

void Process::prepare(detail::Call call, ProcessOptions options, const std::type_info* type) {
  if (options.name.empty()) options.name = default_name();
  if (!options.daemon) options.daemon = client().daemon();
  state_ = std::make_unique<State>(State{.call = std::move(call), .options = std::move(options), .type = type});
}

bool Process::made_inside() {
  if (!std::exchange(inside_next, false)) return false;
  const ProcessOptions options{.name = client().name(), .daemon = client().daemon()};
  state_ = std::make_unique<State>(State{.options = options, .id = client().self(), .inside = true});
  return true;
}

Process::Process() = default;

Process::Process(Process&&) noexcept = default;

Process& Process::operator=(Process&& other) noexcept {
  std::swap(state_, other.state_);
  return *this;
}

Process::~Process() {
  if (!state_ || state_->inside || state_->id == process::kNoProcess || !process::Client::here()) return;
  process::Client::here()->release(state_->id);
}

Process::State& Process::state() const {
  if (!state_) throw std::logic_error("this Process is closed, or was moved from");
  return *state_;
}

Process Process::program(const std::string& path, const std::vector<std::string>& arguments, ProcessOptions options) {
  std::vector<std::string> words{path};
  words.insert(words.end(), arguments.begin(), arguments.end());
  Process process;
  process.prepare({.run = nullptr, .bytes = process::words_to_execute(words)}, std::move(options));
  return process;
}

bool over_memory_budget() {
  const process::BlackBox* box = process::black_box();
  return box && box->over_budget != 0;
}

void Process::run() {
  if (!state().call.run) throw std::logic_error("another program runs in a process of its own only: start() it");
  if (state().id != process::kNoProcess) throw std::logic_error("run() of a process that was started");
  state_->call.run(state_->call.bytes);
}

void Process::start() {
  if (state().id != process::kNoProcess) throw std::logic_error("cannot start a process twice");
  if (client().daemon()) throw std::logic_error("a daemon may not have children");
  if (const auto& mine = typeid(*this); state_->type && mine != typeid(Process) && mine != *state_->type) {
    throw std::logic_error("a class derived from Process must itself pass `this` and its arguments to it");
  }
  flush_standard_streams();
  state_->id = client().start({.entry = state_->call.run,
                               .arguments = std::move(state_->call.bytes),
                               .name = state_->options.name,
                               .environment = state_->options.environment,
                               .stop_timeout = state_->options.stop_timeout,
                               .daemon = state_->options.daemon.value(),
                               .things = std::move(state_->call.handles),
                               .program = state_->call.run == nullptr,
                               .keep_stderr = state_->options.keep_stderr,
                               .limits = state_->options.limits});
  state_->call.kept.clear();
}

Process::State& Process::started() {
  if (state().id == process::kNoProcess) throw std::logic_error("this process was not started");
  if (state_->inside) throw std::logic_error("only the starter of a process can do that with it");
  return *state_;
}

void Process::join() { client().join(started().id); }

bool Process::join(Duration timeout) { return client().join(started().id, timeout).has_value(); }

bool Process::is_alive() { return state().inside || (state_->id != process::kNoProcess && !client().death(state_->id)); }

void Process::terminate() { client().stop(started().id); }

void Process::kill() { client().kill(started().id); }

void Process::close() {
  if (is_alive()) throw std::logic_error("cannot close a process that is running: join() or terminate() it first");
  const Process dropped = std::move(*this);
}

std::uint64_t Process::id() const { return state().id; }

const std::string& Process::name() const { return state().options.name; }

bool Process::daemon() const { return state().options.daemon.value(); }

void Process::set_name(std::string name) {
  if (state().id != process::kNoProcess) throw std::logic_error("the name of a process is set before it is started");
  state_->options.name = std::move(name);
}

void Process::set_daemon(bool daemon) {
  if (state().id != process::kNoProcess) throw std::logic_error("whether a process is a daemon is set before it is started");
  state_->options.daemon = daemon;
}

int Process::sentinel() { return client().sentinel(started().id); }

std::optional<int> Process::pid() {
  if (state().inside) return ::getpid();
  if (state_->id == process::kNoProcess) return std::nullopt;
  const int pid = client().pid(state_->id);
  return pid > 0 ? std::optional(pid) : std::nullopt;
}

std::optional<int> Process::exitcode() {
  const auto how = death();
  return how ? std::optional(how->exitcode()) : std::nullopt;
}

std::optional<Death> Process::death() {
  return state().inside || state_->id == process::kNoProcess ? std::nullopt : client().death(state_->id);
}

CurrentProcess current_process() { return {client().name(), ::getpid(), client().daemon()}; }

std::optional<ParentProcess> parent_process() {
  const auto& parent = client().parent();
  return parent ? std::optional(ParentProcess{parent->name, parent->pid}) : std::nullopt;
}

std::vector<Process> active_children() {
  std::vector<Process> children;
  for (auto& child : client().living()) {
    Process process;
    process.state_ = std::make_unique<Process::State>(
        Process::State{.options = {.name = std::move(child.name), .daemon = child.daemon}, .id = child.id});
    children.push_back(std::move(process));
  }
  return children;
}

int cpu_count() { return os::cpu_count(); }

}  // namespace troupe
