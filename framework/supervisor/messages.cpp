#include "supervisor/messages.h"

#include <poll.h>
#include <unistd.h>


#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "os/epoll.h"
#include "os/error_output.h"

namespace troupe::supervisor {

namespace {

constexpr Duration kRetry = std::chrono::milliseconds(10);
constexpr Duration kLastChance = std::chrono::milliseconds(200);

}  // namespace

Messages::Messages(process::Root& root) : root_(root) {}

Messages::~Messages() { root_.cancel(timer_); }

void Messages::say(const std::string& what) {
  if (waiting_.size() >= kWaitingMax) {
    waiting_.pop_front();
    ++dropped_;
  }
  waiting_.push_back(fmt::format("troupe: {}\n", what));
  if (timer_ == 0) try_again();
}

void Messages::flush() {
  const auto deadline = deadline_after(kLastChance);
  while (!waiting_.empty()) {
    if (write_first()) continue;
    if (Clock::now() >= deadline) return;
    os::wait_for(STDERR_FILENO, POLLOUT, std::min(deadline, Clock::now() + kRetry));
  }
}

// False if there is no room for it now.
bool Messages::write_first() {
  if (dropped_ > 0) waiting_.front() = fmt::format("troupe: {} messages that nobody read were dropped\n{}", std::exchange(dropped_, 0), waiting_.front());
  if (!os::print_error_output(waiting_.front())) return false;
  waiting_.pop_front();
  return true;
}

void Messages::try_again() {
  timer_ = 0;
  while (!waiting_.empty()) {
    if (write_first()) continue;
    timer_ = root_.call_at(Clock::now() + kRetry, [this] { try_again(); });
    return;
  }
}

std::string describe(const std::string& path, const command::Note& note, pid_t pid) {
  if (note.decision == Decision::finished && note.death.normal()) return "";
  std::string text = fmt::format("`{}` {}; ", path, note.death.describe());
  switch (note.decision) {
    case Decision::gave_up: text += "it is given up"; break;
    case Decision::finished: text += "it is not restarted"; break;
    case Decision::restart: {
      const bool later = note.delay > Duration::zero();
      text += fmt::format("restart {} {}", note.restarts, later ? fmt::format("in {}ms", note.delay / std::chrono::milliseconds(1)) : "now");
    }
  }
  if (pid > 0) text += fmt::format(" (it was pid {})", pid);
  return text + below(note.death);
}

std::string below(Death death) {
  death.restarts = 0;
  std::string lines = death.evidence();
  if (lines.empty()) return "";
  lines.pop_back();
  return "\n" + lines;
}

}  // namespace troupe::supervisor
