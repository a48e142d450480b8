#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <thread>

#include "os/descriptor.h"
#include "pipe/end.h"

namespace troupe::detail {

// A descriptor that is readable while something can be received at an end, though that end wakes by futex: a thread sleeps there and
// rings. All of it belongs to this process, so that nobody's death can leave it wrong.
//
// Threads: any.
class Bell {
 public:
  // `end` must outlive it. Throws SystemError.
  explicit Bell(pipe::End& end);
  ~Bell();
  Bell(const Bell&) = delete;
  Bell& operator=(const Bell&) = delete;

  [[nodiscard]] int descriptor() const { return event_.get(); }
  // To be called when something was received: silences it if there is no more.
  void settle();

 private:
  void run();
  void ring();
  [[nodiscard]] bool is_rung();
  void turn();

  pipe::End& end_;
  os::Descriptor event_;
  const std::uint32_t forks_;  // when it was made
  std::atomic<std::uint32_t> turns_{0};  // of what the thread is to do; it sleeps on it
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  bool rung_ = false;  // under the mutex: the event is readable
  std::thread thread_;
};

}  // namespace troupe::detail
