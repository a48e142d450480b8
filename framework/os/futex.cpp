#include "os/futex.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <ctime>
#include <vector>

#include "os/check_call.h"

namespace troupe::os {
namespace {

long futex(const std::atomic<std::uint32_t>& word, int operation, std::uint32_t value, const timespec* deadline) {
  return ::syscall(SYS_futex, &word, operation, value, deadline, nullptr, FUTEX_BITSET_MATCH_ANY);
}

// Absolute, of the CLOCK_MONOTONIC, which is Clock. Null: for ever.
class Until {
 public:
  explicit Until(Clock::time_point deadline) : forever_(deadline == Clock::time_point::max()) {
    if (forever_) return;
    const auto since_boot = std::max(deadline.time_since_epoch(), Clock::duration::zero());
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(since_boot);
    time_.tv_sec = seconds.count();
    time_.tv_nsec = std::chrono::nanoseconds(since_boot - seconds).count();
  }
  [[nodiscard]] const timespec* get() const { return forever_ ? nullptr : &time_; }

 private:
  bool forever_;
  timespec time_{};
};

bool woken(long result) {
  if (result >= 0) return true;
  if (errno == ETIMEDOUT) return false;
  if (errno == EAGAIN || errno == EINTR) return true;
  throw SystemError(errno, "futex wait");
}

}  // namespace

bool futex_wait(const std::atomic<std::uint32_t>& word, std::uint32_t seen, Clock::time_point deadline) {
  return woken(futex(word, FUTEX_WAIT_BITSET, seen, Until(deadline).get()));
}

bool futex_wait_any(std::span<const FutexSeen> words, Clock::time_point deadline) {
  std::vector<futex_waitv> waiters;
  for (const FutexSeen& one : words) waiters.push_back({one.seen, reinterpret_cast<std::uintptr_t>(one.word), FUTEX_32, 0});
  return woken(::syscall(SYS_futex_waitv, waiters.data(), waiters.size(), 0, Until(deadline).get(), CLOCK_MONOTONIC));
}

void futex_wake(const std::atomic<std::uint32_t>& word, int count) {
  futex(word, FUTEX_WAKE, static_cast<std::uint32_t>(count), nullptr);
}

void futex_wake_all(const std::atomic<std::uint32_t>& word) { futex_wake(word, INT_MAX); }

}  // namespace troupe::os
