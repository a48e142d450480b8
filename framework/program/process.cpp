#include <troupe/process.h>

#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <iostream>
#include <stdexcept>

#include "process/client.h"

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

}  // namespace detail

struct Process::State {
  detail::Call call;
  ProcessOptions options;
  process::ProcessId id = process::kNoProcess;  // once started
};

void Process::prepare(detail::Call call, ProcessOptions options) {
  if (options.name.empty()) options.name = default_name();
  state_ = std::make_unique<State>(State{std::move(call), std::move(options)});
}

Process::Process() = default;

Process::Process(Process&&) noexcept = default;

Process& Process::operator=(Process&& other) noexcept {
  std::swap(state_, other.state_);
  return *this;
}

Process::~Process() {
  if (!state_ || state_->id == process::kNoProcess || !process::Client::here()) return;
  process::Client::here()->release(state_->id);
}

void Process::start() {
  if (state_->id != process::kNoProcess) throw std::logic_error("cannot start a process twice");
  flush_standard_streams();
  state_->id = client().start({.entry = state_->call.run,
                               .arguments = std::move(state_->call.bytes),
                               .name = state_->options.name,
                               .environment = state_->options.environment,
                               .stop_timeout = state_->options.stop_timeout});
}

Process::State& Process::started() {
  if (state_->id == process::kNoProcess) throw std::logic_error("this process was not started");
  return *state_;
}

void Process::join() { client().join(started().id); }

bool Process::join(Duration timeout) { return client().join(started().id, timeout).has_value(); }

bool Process::is_alive() { return state_->id != process::kNoProcess && !client().death(state_->id); }

void Process::terminate() { client().stop(started().id); }

void Process::kill() { client().kill(started().id); }

std::uint64_t Process::id() const { return state_->id; }

const std::string& Process::name() const { return state_->options.name; }

std::optional<int> Process::pid() {
  if (state_->id == process::kNoProcess) return std::nullopt;
  const int pid = client().pid(state_->id);
  return pid > 0 ? std::optional(pid) : std::nullopt;
}

std::optional<int> Process::exitcode() {
  const auto how = death();
  return how ? std::optional(how->exitcode()) : std::nullopt;
}

std::optional<Death> Process::death() {
  return state_->id == process::kNoProcess ? std::nullopt : client().death(state_->id);
}

CurrentProcess current_process() { return {client().name(), ::getpid()}; }

}  // namespace troupe
