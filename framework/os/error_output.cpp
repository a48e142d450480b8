#include "os/error_output.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/check_call.h"

namespace troupe::os {

namespace {

bool is_kind(mode_t kind) {
  struct stat status{};
  return ::fstat(STDERR_FILENO, &status) == 0 && (status.st_mode & S_IFMT) == kind;
}

// Non-blocking is a matter of the open file, which others share with us: so one of our own. -1 where there can be none.
int open_again() {
  if (!is_kind(S_IFIFO) && !is_kind(S_IFCHR)) return -1;
  return ::open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

}  // namespace

bool print_error_output(std::string_view text) {
  static const int own = open_again();
  static const bool socket = is_kind(S_IFSOCK);
  pollfd room{STDERR_FILENO, POLLOUT, 0};
  if (own < 0 && !socket && ::poll(&room, 1, 0) != 1) return false;
  const auto written = retry_interrupted([&] {
    return socket ? ::send(STDERR_FILENO, text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL)
                  : ::write(own < 0 ? STDERR_FILENO : own, text.data(), text.size());
  });
  return written >= 0 || errno != EAGAIN;  // it may fail for good; there is nobody to tell
}

}  // namespace troupe::os
