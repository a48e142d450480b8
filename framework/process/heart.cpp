#include "process/heart.h"

#include <sys/mman.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <new>

#include "os/check_call.h"

namespace troupe::process {

namespace {

constexpr std::size_t kPage = 4096;
constexpr Duration kLateMin = std::chrono::milliseconds(50);
Heart* heart_here = nullptr;

}  // namespace

Heart::Heart(Duration period) : period_(std::max<Duration>(period, std::chrono::milliseconds(1))) {
  timer_ = os::Descriptor(os::check_call(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK), "timerfd_create"));
  void* memory = ::mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw SystemError(errno, "mmap(heart)");
  pulse_ = new (memory) Pulse;
}

Heart::~Heart() { ::munmap(pulse_, kPage); }

Heart* Heart::here() { return heart_here; }

void Heart::set_here(Heart* heart) { heart_here = heart; }

void Heart::keep_to_these() { ::madvise(pulse_, kPage, MADV_DONTFORK); }

void Heart::arm() {
  if (pulse_->armed.exchange(1, std::memory_order_seq_cst) != 0) return;
  pulse_->beats_then.store(pulse_->beats.load(std::memory_order_relaxed), std::memory_order_relaxed);
  pulse_->armed_at.store(Clock::now().time_since_epoch().count(), std::memory_order_relaxed);
  const Duration until_look = period_ / kLooks;
  itimerspec when{};
  when.it_value.tv_sec = until_look / std::chrono::seconds(1);
  when.it_value.tv_nsec = (until_look % std::chrono::seconds(1)).count();
  ::timerfd_settime(timer_.get(), 0, &when, nullptr);
}

bool Heart::too_late(Clock::time_point due, Duration period) { return Clock::now() - due > std::max(period / 4, kLateMin); }

bool Heart::silent() {
  std::uint64_t times = 0;
  if (::read(timer_.get(), &times, sizeof times) < 0) return false;
  const bool nothing_new = pulse_->beats.load(std::memory_order_relaxed) == pulse_->beats_then.load(std::memory_order_relaxed);
  const Clock::time_point since{Duration(pulse_->armed_at.load(std::memory_order_relaxed))};
  const bool at_work = pulse_->busy.load(std::memory_order_seq_cst) != 0;
  if (at_work && nothing_new && !too_late(since + period_ / kLooks, period_)) return true;
  look_again();
  return false;
}

bool Heart::stopped_beating() {
  if (++silent_looks_ >= kLooks) return true;
  look_on();
  return false;
}

void Heart::look_again() {
  silent_looks_ = 0;
  look_on();
}

void Heart::look_on() {
  pulse_->armed.store(0, std::memory_order_seq_cst);
  if (pulse_->busy.load(std::memory_order_seq_cst) != 0) arm();  // else it does so itself when it wakes up
}

}  // namespace troupe::process
