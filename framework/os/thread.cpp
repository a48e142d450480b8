#include "os/thread.h"

#include <csignal>
#include <system_error>

#include "os/check_call.h"
#include "os/signals.h"

namespace troupe::os {

std::thread start_thread(std::function<void()> body, const char* what) {
  sigset_t all;
  ::sigfillset(&all);
  const sigset_t before = block_signals(all);
  try {
    std::thread thread(std::move(body));
    set_blocked_signals(before);
    return thread;
  } catch (const std::system_error& error) {
    set_blocked_signals(before);
    throw_error(error.code().value(), what);
  }
}

}  // namespace troupe::os
