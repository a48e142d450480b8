#include "os/epoll.h"

#include <ctime>

#include "os/check_call.h"

namespace troupe::os {

namespace {

// What ppoll and epoll_pwait2 want: the time left, or null for ever.
struct TimeLeft {
  timespec time{};
  const timespec* pointer = nullptr;

  explicit TimeLeft(Clock::time_point deadline) {
    if (deadline == Clock::time_point::max()) return;
    const auto now = Clock::now();
    const auto left = deadline > now ? std::chrono::duration_cast<Duration>(deadline - now) : Duration::zero();
    time.tv_sec = left / std::chrono::seconds(1);
    time.tv_nsec = (left % std::chrono::seconds(1)).count();
    pointer = &time;
  }
};

}  // namespace

Epoll::Epoll() : epoll_(check_call(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1")) {}

void Epoll::add(int fd, std::uint32_t events, std::uint64_t key) {
  epoll_event event{events, {.u64 = key}};
  check_call(::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event), "epoll_ctl(ADD)");
}

void Epoll::change(int fd, std::uint32_t events, std::uint64_t key) {
  epoll_event event{events, {.u64 = key}};
  check_call(::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event), "epoll_ctl(MOD)");
}

void Epoll::remove(int fd) { check_call(::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr), "epoll_ctl(DEL)"); }

std::span<epoll_event> Epoll::wait(std::span<epoll_event> room, Clock::time_point deadline) const {
  const TimeLeft left(deadline);
  const int count = ::epoll_pwait2(epoll_.get(), room.data(), static_cast<int>(room.size()), left.pointer, nullptr);
  if (count < 0 && errno == EINTR) return {};
  return room.first(static_cast<std::size_t>(check_call(count, "epoll_pwait2")));
}

bool wait_for(std::span<pollfd> list, Clock::time_point deadline) {
  while (true) {
    const TimeLeft left(deadline);
    const int count = ::ppoll(list.data(), list.size(), left.pointer, nullptr);
    if (count >= 0) return count > 0;
    if (errno != EINTR) throw SystemError(errno, "ppoll");
  }
}

bool wait_for(int fd, short events, Clock::time_point deadline) {
  pollfd entry{fd, events, 0};
  return wait_for(std::span(&entry, 1), deadline);
}

}  // namespace troupe::os
