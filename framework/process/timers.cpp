#include "process/timers.h"

#include <utility>

namespace troupe::process {

Timers::Id Timers::at(Clock::time_point moment, std::function<void()> action) {
  const Id id = ++last_;
  by_id_[id] = queue_.emplace(moment, std::pair(id, std::move(action)));
  return id;
}

void Timers::cancel(Id id) {
  const auto found = by_id_.find(id);
  if (found == by_id_.end()) return;
  queue_.erase(found->second);
  by_id_.erase(found);
}

Clock::time_point Timers::next() const { return queue_.empty() ? Clock::time_point::max() : queue_.begin()->first; }

void Timers::run(Clock::time_point now) {
  const Id last = last_;
  for (auto it = queue_.begin(); it != queue_.end() && it->first <= now;) {
    if (it->second.first > last) {
      ++it;
      continue;
    }
    const auto action = std::move(it->second.second);
    cancel(it->second.first);
    action();
    it = queue_.begin();  // the action may have changed anything
  }
}

}  // namespace troupe::process
