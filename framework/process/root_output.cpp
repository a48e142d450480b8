// What processes write to standard error, where root keeps the end of it; and how much memory they have, where that is limited.

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <string_view>
#include <utility>

#include "os/check_call.h"
#include "os/proc.h"
#include "process/root_loop.h"

namespace troupe::process {

namespace {

constexpr std::size_t kOutputPass = std::size_t{64} << 10;  // bytes of one process a pass
constexpr std::size_t kOutputLast = std::size_t{256} << 10;  // that are still read after its end, though a fork of it went on
constexpr std::size_t kOrphansMax = std::size_t{1} << 20;  // bytes of dead processes that wait for standard error
constexpr Duration kMemoryPeriod = std::chrono::milliseconds(100);

std::string mebibytes(std::size_t bytes) { return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / (1 << 20)); }

// The second number of /proc/PID/statm, in bytes; 0 for a dead process.
std::size_t resident_bytes(const os::Descriptor& statm) {
  char text[128];
  const auto size = os::retry_interrupted([&] { return ::pread(statm.get(), text, sizeof text, 0); });
  const std::string_view line(text, static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
  const auto blank = line.find(' ');
  std::size_t pages = 0;
  if (blank == std::string_view::npos) return 0;
  std::from_chars(line.data() + blank + 1, line.data() + line.size(), pages);
  return pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace

// The writing end of a pipe whose other end is read here.
os::Descriptor RootLoop::make_output(Process& process) {
  int ends[2];
  os::check_call(::pipe2(ends, O_CLOEXEC), "pipe");
  process.output = os::Descriptor(ends[0]);
  os::Descriptor writer(ends[1]);
  ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
  return writer;
}

// Reads and passes on some of it; false if there is no more now.
bool RootLoop::read_output(Process& process) {
  const auto room = std::span(reinterpret_cast<char*>(buffer_.get()), kOutputPass);
  const auto size = os::retry_interrupted([&] { return ::read(process.output.get(), room.data(), room.size()); });
  if (size < 0) return false;
  if (size == 0) {  // it has closed its standard error
    epoll_.remove(process.output.get());
    process.output.reset();
    return false;
  }
  const auto text = room.first(static_cast<std::size_t>(size));
  process.last_lines.add(text);
  pass_on(process, text);
  return true;
}

// While its output cannot be passed on, no more is read: then the process waits, as it would without us.
void RootLoop::pass_on(Process& process, std::span<const char> text) {
  const std::size_t taken = process.unsent.empty() ? sink_.write(text) : 0;
  process.unsent.append(text.data() + taken, text.size() - taken);
  if (process.unsent.empty()) return;
  if (!process.dead) epoll_.change(process.output.get(), 0, key(Source::output, process.serial));
  wait_for_sink();
}

// Without waiting; what cannot be written soon and is too much is dropped.
void RootLoop::say(std::string_view text) {
  if (!sink_.usable()) return;
  const std::size_t taken = orphans_.empty() ? sink_.write(text) : 0;
  orphans_ += text.substr(taken, taken + kOrphansMax - orphans_.size());
  if (!orphans_.empty()) wait_for_sink();
}

void RootLoop::wait_for_sink() {
  if (std::exchange(waits_for_sink_, true)) return;
  epoll_.add(sink_.descriptor(), EPOLLOUT, key(Source::sink));
}

void RootLoop::sink_writable() {
  bool all = true;
  orphans_.erase(0, sink_.write(orphans_));
  all = orphans_.empty();
  roster_.for_each([&](Process& process) {
    if (process.unsent.empty() || !all) return;
    process.unsent.erase(0, sink_.write(process.unsent));
    all = process.unsent.empty();
    if (all && process.output) epoll_.change(process.output.get(), EPOLLIN, key(Source::output, process.serial));
  });
  if (!all) return;
  epoll_.remove(sink_.descriptor());
  waits_for_sink_ = false;
}

// Of a dead process.
void RootLoop::read_last_output(Process& process) {
  for (std::size_t i = 0; i < kOutputLast / kOutputPass && process.output && read_output(process); ++i) {
  }
  if (!process.unsent.empty()) say(process.unsent);
}

void RootLoop::limit_memory(Process& process, const Limits& limits) {
  if (limits.memory_budget == 0 && limits.memory_max == 0) return;
  process.limits = limits;
  process.memory = os::Descriptor(
      os::check_call(::open(fmt::format("/proc/{}/statm", process.pid).c_str(), O_RDONLY | O_CLOEXEC), "open /proc/PID/statm"));
  if (memory_timer_ == 0) memory_timer_ = timers_.at(Clock::now() + kMemoryPeriod, [this] { look_at_memory(); });
}

// The kernel holds a group to its limit at once, where there can be groups; what lies in files is counted there as well, but given up first.
std::unique_ptr<os::MemoryGroups::Group> RootLoop::memory_group(const Process& process, const Limits& limits) {
  if (limits.memory_max == 0) return nullptr;
  if (!std::exchange(groups_tried_, true)) {
    const auto ours = os::ControlGroup::ours();
    auto all = os::descendants_of(::getpid());
    all.insert(all.end(), {::getpid(), ::getppid()});
    if (ours) groups_ = os::MemoryGroups::open(*ours, ::getpid(), all);
  }
  return groups_ ? groups_->make(process.serial, limits.memory_max) : nullptr;
}

void RootLoop::judge_group(Process& process, const os::Exit& exit) {
  const bool by_kernel = exit.signalled && exit.code == SIGKILL && !process.killed && !process.verdict;
  if (!by_kernel || !process.group || !process.group->ran_out()) return;
  process.verdict = Death{Death::Cause::out_of_memory, -SIGKILL,
                          fmt::format("it wanted more than it had, {} are allowed", mebibytes(process.limits.memory_max))};
}

void RootLoop::look_at_memory() {
  memory_timer_ = 0;
  bool any = false;
  roster_.for_each([&](Process& process) {
    if (!process.memory) return;
    any = true;
    judge_memory(process, resident_bytes(process.memory));
  });
  if (any) memory_timer_ = timers_.at(Clock::now() + kMemoryPeriod, [this] { look_at_memory(); });
}

void RootLoop::judge_memory(Process& process, std::size_t used) {
  const Limits& limits = process.limits;
  if (limits.memory_max > 0 && used > limits.memory_max) {
    return kill(process.id, {Death::Cause::out_of_memory, -SIGKILL,
                             fmt::format("it had {}, {} are allowed", mebibytes(used), mebibytes(limits.memory_max))});
  }
  const bool over = limits.memory_budget > 0 && used > limits.memory_budget;
  if (over == std::exchange(process.over_budget, over)) return;
  if (process.box) process.box->over_budget = over ? 1 : 0;
  if (!over || !process.outbox.empty()) return;  // who does not read what it is told need not be told more
  Outgoing<control::Notice> notice;
  notice->setOverBudget();
  tell(process, notice.bytes());
}

}  // namespace troupe::process
