#pragma once

#include <functional>
#include <memory>
#include <tuple>
#include <utility>

#include <troupe/duration.h>

namespace troupe {

// Calls a function once, a while after start(), as Python's threading.Timer.
//
//     troupe::Timer alarm(5s, [] { std::cout << "time is over\n"; });
//     alarm.start();
//     …
//     alarm.cancel();
//
// The functions of all timers of a process are called on one thread, in the order in which they are due: whatever takes long delays the
// others, and belongs into a thread or Process of its own. That thread takes no signals; it is started by the first start(), and sleeps
// unless something is due. An exception that leaves a function is printed, and that is all.
//
// Unlike Python's, a Timer that goes away is cancelled, and its function not running any more: so it may use what lives as long as the
// Timer does. To let it happen, join() it. A process ends without waiting for its timers.
//
// Threads: any. The function may do what it likes with its own Timer, but for join().
class Timer {
 public:
  template <class F, class... Args>
  Timer(Duration delay, F function, Args... arguments)
      : Timer(delay,
              std::function<void()>([function = std::move(function), values = std::tuple(std::move(arguments)...)]() mutable {
                std::apply(function, values);
              })) {}
  Timer(Duration delay, std::function<void()> function);
  Timer(Timer&&) noexcept = default;
  Timer& operator=(Timer&&) noexcept;
  ~Timer();

  // Throws std::logic_error when it was started already; SystemError when there is no thread to be had. Does nothing once it was cancelled.
  void start();
  // It will not be called, unless that has begun.
  void cancel();
  // Waits until it was called or cancelled; the second says whether that came in time. Throw std::logic_error before start(), and in the
  // function itself.
  void join();
  bool join(Duration timeout);
  // Started, and neither cancelled nor over.
  [[nodiscard]] bool is_alive() const;

 private:
  friend class TimerThread;
  struct State;
  void drop();
  std::shared_ptr<State> state_;
};

}  // namespace troupe
