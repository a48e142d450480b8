#include "transport/waiter.h"

#include <algorithm>
#include <array>

namespace troupe::transport {
namespace {

enum Key : std::uint64_t { kDescriptor, kLifeline };

}  // namespace

Waiter::Waiter(Transport& link) : link_(link) {
  epoll_.add(link.descriptor(), Transport::kDescriptorEvents, kDescriptor);
  if (link.lifeline() >= 0) epoll_.add(link.lifeline(), Transport::kLifelineEvents, kLifeline);
}

bool Waiter::wait(Clock::time_point deadline) {
  if (!link_.arm()) return true;
  const bool retries = link_.retry_at() < deadline;
  deadline = std::min(deadline, link_.retry_at());
  std::array<epoll_event, 2> room;
  std::span<epoll_event> events;
  do {
    events = epoll_.wait(room, deadline);
  } while (events.empty() && Clock::now() < deadline);  // a signal
  link_.disarm();
  for (const auto& event : events) {
    if (event.data.u64 == kLifeline) link_.hang_up();
  }
  return retries || !events.empty();
}

}  // namespace troupe::transport
