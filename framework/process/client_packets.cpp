// How a process and root exchange packets, and who of its threads reads them.

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/single_threaded.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <thread>
#include <utility>

#include "os/check_call.h"
#include "os/socket.h"
#include "process/client.h"
#include "process/packet.h"

namespace troupe::process {

namespace {

// Root has ended, so SIGKILL is on its way to us: user code is not to see the moment between. Only a process that has freed itself
// of that (by setuid) gets to the exception.
[[noreturn]] void wait_for_our_end() {
  std::this_thread::sleep_for(std::chrono::seconds(1));
  throw SystemError(EPIPE, "root is gone");
}

}  // namespace

void Client::send(std::span<const std::byte> request, const std::vector<os::Descriptor>& descriptors) {
  std::vector<int> fds;
  for (const auto& descriptor : descriptors) fds.push_back(descriptor.get());
  while (true) {
    switch (os::send_packet(socket_.get(), request, fds)) {
      case os::SendResult::sent: return;
      case os::SendResult::gone: wait_for_our_end();
      case os::SendResult::busy: os::wait_for(socket_.get(), POLLIN, Clock::now() + os::kBusyDelay); break;
      // Root does not read on while it cannot get rid of its notices to us.
      case os::SendResult::full: os::wait_for(socket_.get(), POLLIN | POLLOUT, Clock::time_point::max()); break;
    }
    const Lock lock(mutex_);
    while (read_one()) {
    }
  }
}

// Waits until `condition` holds, looked at under the lock; false when `deadline` has passed. One thread reads for all who wait.
bool Client::wait(Lock& lock, Clock::time_point deadline, const std::function<bool()>& condition) {
  if (deadline != Clock::time_point::max()) {
    while (read_one()) {  // what is there already counts, even when there is no time
    }
  }
  while (!condition()) {
    if (closed_) wait_for_our_end();
    if (Clock::now() >= deadline) return false;
    if (reading_) {
      if (deadline == Clock::time_point::max()) changed_.wait(lock);
      else changed_.wait_until(lock, deadline);
      continue;
    }
    wait_at_socket(lock, deadline);
    read_one();
    changed_.notify_all();  // who still waits takes our place
  }
  return true;
}

// Waits for a packet, unlocked, or until another thread has read one; on behalf of all threads.
void Client::wait_at_socket(Lock& lock, Clock::time_point deadline) {
  // Nobody else could read while the only thread waits: most processes need no bell.
  if (!reader_bell_ && !__libc_single_threaded) {
    reader_bell_ = os::Descriptor(os::check_call(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd"));
  }
  reading_ = true;
  lock.unlock();
  std::array<pollfd, 2> list{{{socket_.get(), POLLIN, 0}, {reader_bell_.get(), POLLIN, 0}}};
  os::wait_for(list, deadline);
  lock.lock();
  reading_ = false;
  eventfd_t count;
  if (list[1].revents != 0) ::eventfd_read(reader_bell_.get(), &count);
}

// Something has changed: whoever waits, at the socket or behind who does, looks whether it is what he waits for.
void Client::wake_all() {
  changed_.notify_all();
  if (reading_ && reader_bell_) ::eventfd_write(reader_bell_.get(), 1);
}

bool Client::read_one() {
  if (closed_) return false;
  alignas(8) std::array<std::byte, kNoticeSizeMax> buffer;
  auto received = os::receive_packet(socket_.get(), buffer);
  closed_ = received.state == os::ReceivedPacket::State::closed;
  if (received.state != os::ReceivedPacket::State::packet) return false;
  note(std::span(buffer).first(received.size), std::move(received.descriptors));
  wake_all();
  return true;
}

void Client::note(std::span<const std::byte> packet, std::vector<os::Descriptor> descriptors) {
  read_packet<control::Notice>(packet, [&](control::Notice::Reader notice) {
    switch (notice.which()) {
      case control::Notice::ENDED: {
        const auto ended = notice.getEnded();
        const auto found = records_.find(ended.getId());
        if (found == records_.end()) return;  // forgotten
        if (found->second.users == 0) {
          records_.erase(found);
          return;
        }
        found->second.death = read(ended.getDeath());
        found->second.pid = ended.getPid();
        return;
      }
      case control::Notice::DESCRIBED: {
        const auto found = records_.find(notice.getDescribed().getId());
        if (found == records_.end()) return;
        if (!found->second.pid) found->second.pid = notice.getDescribed().getPid();
        return;
      }
      case control::Notice::WATCHED: {
        const auto found = records_.find(notice.getWatched().getId());
        if (found == records_.end()) return;
        found->second.watched = true;
        if (!found->second.sentinel && !descriptors.empty()) found->second.sentinel = std::move(descriptors.front());
        return;
      }
      case control::Notice::OPENED: {
        const auto opened = notice.getOpened();
        const auto found = openings_.find(opened.getThing());
        if (found == openings_.end()) return;
        descriptors.resize(2);
        found->second = {true, opened.getWhy(), opened.getOverwritten(), {opened.getSlot(), std::move(descriptors[0]), std::move(descriptors[1])}};
        return;
      }
      case control::Notice::LAID: laid_ = std::max(laid_, notice.getLaid()); return;
      case control::Notice::NEWS: {
        const auto found = channels_.find(notice.getNews().getChannel());
        if (found == channels_.end()) return;
        const auto data = notice.getNews().getData();
        const auto* begin = reinterpret_cast<const std::byte*>(data.begin());
        found->second.emplace_back(begin, begin + data.size());
        return;
      }
      case control::Notice::DOWN:
        return tell_pump({.what = News::What::down, .process = notice.getDown().getProcess(), .death = read(notice.getDown().getDeath())});
      case control::Notice::OFFERED:
        if (news_.size() >= kNewsMax) return;  // the descriptors are closed: the other side sees the end of the link
        return tell_pump({.what = News::What::offered,
                          .process = notice.getOffered().getFrom(),
                          .options = read(notice.getOffered().getOptions()),
                          .ends = std::move(descriptors)});
      case control::Notice::FOUND:
        return tell_pump({.what = News::What::found,
                          .question = notice.getFound().getQuestion(),
                          .place = notice.getFound().getActor(),
                          .options = read(notice.getFound().getOptions())});
      case control::Notice::NOT_FOUND:
        return tell_pump({.what = News::What::not_found,
                          .question = notice.getNotFound().getQuestion(),
                          .death = read(notice.getNotFound().getWhy())});
      case control::Notice::OVER_BUDGET:
        if (bell_) tell_pump({.what = News::What::over_budget});
        return;
    }
  });
}

void Client::tell_pump(News news) {
  news_.push_back(std::move(news));
  if (bell_) ::eventfd_write(bell_.get(), 1);
}

int Client::descriptor() {
  check_process();
  const Lock lock(mutex_);
  if (!waker_) {
    bell_ = os::Descriptor(os::check_call(::eventfd(news_.empty() ? 0 : 1, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd"));
    auto waker = std::make_unique<os::Epoll>();
    waker->add(socket_.get(), EPOLLIN, 0);
    waker->add(bell_.get(), EPOLLIN, 1);
    waker_ = std::move(waker);
  }
  return waker_->descriptor();
}

void Client::pump(ClientEvents& events) {
  check_process();
  std::deque<News> news;
  {
    const Lock lock(mutex_);
    while (read_one()) {
    }
    if (closed_) wait_for_our_end();
    eventfd_t count;
    if (bell_) ::eventfd_read(bell_.get(), &count);
    news.swap(news_);
  }
  for (auto& item : news) {
    switch (item.what) {
      case News::What::down: events.down(item.process, item.death); break;
      case News::What::offered: events.offered(item.process, item.options, std::move(item.ends)); break;
      case News::What::found: events.found(item.question, item.place, item.options); break;
      case News::What::not_found: events.not_found(item.question, item.death); break;
      case News::What::over_budget: events.over_budget(); break;
    }
  }
}

}  // namespace troupe::process
