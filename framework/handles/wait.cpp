#include <troupe/wait.h>

#include <poll.h>

#include <atomic>
#include <ctime>
#include <exception>
#include <optional>
#include <stdexcept>
#include <thread>

#include "handles/pipe_part.h"
#include "handles/queue_part.h"
#include "os/check_call.h"
#include "os/event.h"
#include "os/futex.h"
#include "os/thread.h"

namespace troupe {

namespace {

// Until one of them has an event, or the deadline. True if one has.
bool poll_until(std::vector<pollfd>& descriptors, Clock::time_point deadline) {
  while (true) {
    const auto now = Clock::now();
    const auto left = deadline > now ? deadline - now : Clock::duration::zero();
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(left);
    const timespec time{.tv_sec = seconds.count(), .tv_nsec = std::chrono::nanoseconds(left - seconds).count()};
    const bool forever = deadline == Clock::time_point::max();
    const int count = ::ppoll(descriptors.data(), descriptors.size(), forever ? nullptr : &time, nullptr);
    if (count > 0) return true;
    if (count < 0 && errno != EINTR) throw SystemError(errno, "poll");
    if (count == 0 && Clock::now() >= deadline) return false;
  }
}

// A thread that waits for descriptors on behalf of one that sleeps on futexes.
class DescriptorWatch {
 public:
  explicit DescriptorWatch(std::vector<pollfd> descriptors) : descriptors_(std::move(descriptors)), cancel_(os::make_event()) {
    descriptors_.push_back({.fd = cancel_.get(), .events = POLLIN, .revents = 0});
    thread_ = os::start_thread([this] { run(); }, "a thread to wait for descriptors");
  }
  ~DescriptorWatch() {
    os::ring_event(cancel_);
    thread_.join();
  }
  DescriptorWatch(const DescriptorWatch&) = delete;
  DescriptorWatch& operator=(const DescriptorWatch&) = delete;

  // Is 1 once one has an event.
  [[nodiscard]] const std::atomic<std::uint32_t>& word() const { return word_; }

 private:
  void run() noexcept {
    try {
      poll_until(descriptors_, Clock::time_point::max());
    } catch (const SystemError&) {  // whoever looks next sees what is wrong
    }
    word_.store(1, std::memory_order_seq_cst);
    os::futex_wake_all(word_);
  }

  std::vector<pollfd> descriptors_;
  os::Descriptor cancel_;
  std::atomic<std::uint32_t> word_{0};
  std::thread thread_;
};

}  // namespace

// One call of wait().
class Waiting {
 public:
  explicit Waiting(std::span<const Waitable> things) : things_(things) {
    for (const Waitable& thing : things) {
      if (thing.pipe_) thing.pipe_->check_here();
      if (thing.queue_) thing.queue_->check_here();
      if (thing.pipe_ && !thing.pipe_->end.receives()) throw std::logic_error("this end of the pipe only sends");
      if (!thing.pipe_ && !thing.queue_ && thing.descriptor_ < 0)
        throw SystemError(EBADF, "wait");  // poll() would pass over it
      if (is_descriptor(thing))
        descriptors_.push_back({.fd = thing.pipe_ ? thing.pipe_->end.socket() : thing.descriptor_, .events = POLLIN, .revents = 0});
      else
        ++futexes_;
    }
    if (futexes_ >= os::kFutexesMax) throw std::invalid_argument("wait() takes 127 connections and queues at most");
  }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;
  // A wake-up that we received may have been meant for others.
  ~Waiting() {
    if (!slept_) return;
    for (const Waitable& thing : things_) {
      try {
        if (thing.queue_) thing.queue_->queue.pass_on();
      } catch (const std::exception&) {  // somebody has overwritten it: whoever uses it finds out
      }
    }
  }

  // As far as that can be known before the deadline.
  std::vector<Waitable> ready(Clock::time_point deadline) {
    std::vector<Waitable> some;
    if (!descriptors_.empty()) poll_until(descriptors_, Clock::time_point::min());
    auto descriptor = descriptors_.begin();
    for (const Waitable& thing : things_) {
      if (is_descriptor(thing)   ? has_event(*descriptor++)
          : thing.pipe_ ? thing.pipe_->end.ready()
                        : thing.queue_->queue.ready(deadline))
        some.push_back(thing);
    }
    return some;
  }

  // Something may be ready, or the deadline has passed. Call ready() after arm() and before this.
  void arm() {
    words_.clear();
    for (const Waitable& thing : things_) {
      if (thing.pipe_ && !is_descriptor(thing)) words_.push_back({&thing.pipe_->end.data_epoch(), thing.pipe_->end.arm()});
      if (thing.queue_) words_.push_back({&thing.queue_->queue.epoch(), thing.queue_->queue.arm()});
    }
  }
  // False if the deadline has passed.
  bool sleep(Clock::time_point deadline) {
    slept_ = true;
    if (words_.empty()) return poll_until(descriptors_, deadline);
    if (descriptors_.empty()) return os::futex_wait_any(words_, deadline);
    if (!watch_ || watch_->word().load(std::memory_order_seq_cst) != 0) watch_.emplace(descriptors_);
    words_.push_back({&watch_->word(), 0});
    return os::futex_wait_any(words_, deadline);
  }

 private:
  static bool is_descriptor(const Waitable& thing) { return thing.pipe_ ? thing.pipe_->end.socket() >= 0 : !thing.queue_; }
  static bool has_event(const pollfd& descriptor) {
    if ((descriptor.revents & POLLNVAL) != 0) throw SystemError(EBADF, "wait");
    return descriptor.revents != 0;
  }

  std::span<const Waitable> things_;
  std::size_t futexes_ = 0;
  std::vector<pollfd> descriptors_;  // those of things_, in their order
  std::vector<os::FutexSeen> words_;
  std::optional<DescriptorWatch> watch_;
  bool slept_ = false;
};

Waitable::Waitable(const Connection& connection) : pipe_(connection.part_) {
  if (!pipe_) throw std::logic_error("this Connection is closed");
}

std::vector<Waitable> wait(std::span<const Waitable> things, Duration timeout) {
  const auto deadline = detail::deadline_of(timeout);
  Waiting waiting(things);
  auto ready = waiting.ready(deadline);
  if (things.empty() || deadline == detail::kNotAtAll) return ready;
  while (ready.empty()) {
    waiting.arm();
    if (!(ready = waiting.ready(deadline)).empty()) break;
    const bool in_time = waiting.sleep(deadline);
    ready = waiting.ready(deadline);
    if (!in_time) break;
  }
  return ready;
}

}  // namespace troupe
