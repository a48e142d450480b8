#include <troupe/timer.h>

#include <condition_variable>
#include <cstdio>
#include <exception>
#include <map>
#include <mutex>
#include <stdexcept>
#include <thread>

#include "os/thread.h"

namespace troupe {

struct Timer::State {
  enum class Phase { fresh, waiting, running, over };
  Duration delay;
  std::function<void()> function;
  Phase phase = Phase::fresh;                                                     // this and below under the thread's mutex
  std::multimap<Clock::time_point, std::shared_ptr<State>>::iterator place = {};  // while it waits
};

// The thread that all timers of a process share. Never destroyed: timers in static variables may outlive everything.
class TimerThread {
 public:
  using State = Timer::State;
  using Phase = State::Phase;

  static TimerThread& here() {
    static auto& here = *new TimerThread;
    return here;
  }

  void start(const std::shared_ptr<State>& timer) {
    const std::scoped_lock lock(mutex_);
    if (timer->phase == Phase::over && timer->function) return;  // cancelled before
    if (timer->phase != Phase::fresh) throw std::logic_error("a Timer is started once");
    if (!thread_.joinable()) thread_ = os::start_thread([this] { run(); }, "a thread for timers");
    timer->place = due_.emplace(deadline_after(timer->delay), timer);
    timer->phase = Phase::waiting;
    if (timer->place == due_.begin()) changed_.notify_all();
  }

  void cancel(State& timer) {
    const std::scoped_lock lock(mutex_);
    if (timer.phase == Phase::waiting) due_.erase(timer.place);  // the caller has a share in it
    if (timer.phase != Phase::running) timer.phase = Phase::over;
    over_.notify_all();
  }

  bool join(const State& timer, Clock::time_point deadline) {
    std::unique_lock lock(mutex_);
    if (timer.phase == Phase::fresh) throw std::logic_error("a Timer is joined after start()");
    if (is_self()) throw std::logic_error("a Timer's function cannot wait for a Timer");
    const auto is_over = [&] { return timer.phase == Phase::over; };
    if (deadline != Clock::time_point::max()) return over_.wait_until(lock, deadline, is_over);
    over_.wait(lock, is_over);
    return true;
  }

  // Cancels, and waits for what has begun; but not in it.
  void drop(State& timer) {
    cancel(timer);
    std::unique_lock lock(mutex_);
    if (!is_self()) over_.wait(lock, [&] { return timer.phase == Phase::over; });
  }

  bool is_alive(const State& timer) {
    const std::scoped_lock lock(mutex_);
    return timer.phase == Phase::waiting || timer.phase == Phase::running;
  }

 private:
  [[nodiscard]] bool is_self() const { return std::this_thread::get_id() == thread_.get_id(); }

  void run() {
    std::unique_lock lock(mutex_);
    while (true) {
      if (due_.empty()) {
        changed_.wait(lock);
      } else if (const auto due = due_.begin()->first; due > Clock::now()) {
        changed_.wait_until(lock, due);
      } else {
        const auto timer = due_.extract(due_.begin()).mapped();
        call(*timer, lock);
      }
    }
  }

  // What the function holds goes away outside of the mutex, too.
  void call(State& timer, std::unique_lock<std::mutex>& lock) {
    timer.phase = Phase::running;
    auto function = std::exchange(timer.function, nullptr);
    lock.unlock();
    try {
      function();
    } catch (const std::exception& error) {
      std::fprintf(stderr, "Timer: uncaught exception: %s\n", error.what());
    } catch (...) {
      std::fprintf(stderr, "Timer: uncaught exception\n");
    }
    function = nullptr;
    lock.lock();
    timer.phase = Phase::over;
    over_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_, over_;
  std::multimap<Clock::time_point, std::shared_ptr<State>> due_;
  std::thread thread_;
};

Timer::Timer(Duration delay, std::function<void()> function)
    : state_(std::make_shared<State>(State{.delay = delay, .function = std::move(function)})) {
  if (!state_->function) throw std::invalid_argument("a Timer needs a function");
}

Timer& Timer::operator=(Timer&& other) noexcept {
  if (this != &other) {
    drop();
    state_ = std::move(other.state_);
  }
  return *this;
}

Timer::~Timer() { drop(); }

void Timer::drop() {
  if (const auto state = std::exchange(state_, nullptr)) TimerThread::here().drop(*state);
}

void Timer::start() { TimerThread::here().start(state_); }
void Timer::cancel() { TimerThread::here().cancel(*state_); }
void Timer::join() { TimerThread::here().join(*state_, Clock::time_point::max()); }
bool Timer::join(Duration timeout) { return TimerThread::here().join(*state_, deadline_after(timeout)); }
bool Timer::is_alive() const { return TimerThread::here().is_alive(*state_); }

}  // namespace troupe
