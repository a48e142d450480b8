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

std::string describe(const std::string& path, const command::Note& note) {
  switch (note.decision) {
    case Decision::gave_up: return fmt::format("`{}` {}; it is given up", path, note.death.describe());
    case Decision::finished:
      return note.death.normal() ? "" : fmt::format("`{}` {}; it is not restarted", path, note.death.describe());
    case Decision::restart: break;
  }
  const std::string when = note.delay > Duration::zero() ? fmt::format("in {}ms", note.delay / std::chrono::milliseconds(1)) : "now";
  return fmt::format("`{}` {}; restart {} {}", path, note.death.describe(), note.restarts, when);
}

}  // namespace troupe::supervisor
