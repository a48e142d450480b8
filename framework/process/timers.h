#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <unordered_map>

#include <troupe/duration.h>

namespace troupe::process {

// What is to be done when. Knows no clock: whoever owns it says what time it is.
//
// Threads: a value.
class Timers {
 public:
  using Id = std::uint64_t;  // never 0

  Id at(Clock::time_point moment, std::function<void()> action);
  void cancel(Id id);
  // When run() has something to do next; time_point::max() if never.
  [[nodiscard]] Clock::time_point next() const;
  // Does what is due, earliest first. Actions may add and cancel; what they add waits for the next run().
  void run(Clock::time_point now);

 private:
  using Queue = std::multimap<Clock::time_point, std::pair<Id, std::function<void()>>>;
  Queue queue_;
  std::unordered_map<Id, Queue::iterator> by_id_;
  Id last_ = 0;
};

}  // namespace troupe::process
