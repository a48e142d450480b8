#include "handles/bell.h"

#include <unistd.h>

#include <array>
#include <cerrno>

#include <troupe/errors.h>

#include "os/event.h"
#include "os/futex.h"
#include "os/thread.h"

namespace troupe::detail {

Bell::Bell(pipe::End& end) : end_(end), event_(os::make_event()), forks_(shared::forks()) {
  os::futex_wait_any(std::array{os::FutexSeen{&turns_, 1}});  // here, if this kernel cannot
  thread_ = os::start_thread([this] { run(); }, "a thread for the descriptor of a pipe");
}

// In a fork of the user's there is no such thread.
Bell::~Bell() {
  if (forks_ != shared::forks()) {
    new std::thread(std::move(thread_));  // never joined, nor destroyed
    return;
  }
  stop_.store(true, std::memory_order_seq_cst);
  turn();
  thread_.join();
}

void Bell::settle() {
  const std::scoped_lock lock(mutex_);
  if (!rung_ || end_.ready()) return;
  std::uint64_t count = 0;
  if (::read(event_.get(), &count, sizeof count) < 0 && errno != EAGAIN) throw SystemError(errno, "the descriptor of a pipe");
  rung_ = false;
  turn();
}

bool Bell::is_rung() {
  const std::scoped_lock lock(mutex_);
  return rung_;
}

void Bell::turn() {
  turns_.fetch_add(1, std::memory_order_seq_cst);
  os::futex_wake_all(turns_);
}

void Bell::ring() {
  const std::scoped_lock lock(mutex_);
  if (rung_ || !end_.ready()) return;
  os::ring_event(event_);
  rung_ = true;
}

// Sleeps until there is something, rings, and then sleeps until it is settled, or root wakes all because somebody died: then there may be
// nothing any more.
void Bell::run() {
  while (!stop_.load(std::memory_order_seq_cst)) {
    const std::uint32_t turn = turns_.load(std::memory_order_seq_cst);
    const bool rung = is_rung();
    const os::FutexSeen data{&end_.data_epoch(), rung ? end_.data_epoch().load(std::memory_order_seq_cst) : end_.arm()};
    rung ? settle() : ring();
    if (stop_.load(std::memory_order_seq_cst)) return;
    if (rung == is_rung()) os::futex_wait_any(std::array{data, os::FutexSeen{&turns_, turn}});
  }
}

}  // namespace troupe::detail
