#include "process/error_sink.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "os/check_call.h"

namespace troupe::process {

ErrorSink::ErrorSink() {
  struct stat status {};
  if (::fstat(STDERR_FILENO, &status) != 0) return;
  if (S_ISREG(status.st_mode)) {
    kind_ = Kind::file;  // never makes anybody wait for long, and its position is to be everybody's
  } else if (S_ISSOCK(status.st_mode)) {
    kind_ = Kind::socket;
  } else {
    reopened_ = os::Descriptor(::open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
    if (reopened_) kind_ = Kind::reopened;
  }
}

int ErrorSink::descriptor() const { return kind_ == Kind::reopened ? reopened_.get() : STDERR_FILENO; }

std::size_t ErrorSink::write(std::span<const char> text) const {
  std::size_t taken = 0;
  while (taken < text.size()) {
    const auto rest = text.subspan(taken);
    const auto size = os::retry_interrupted([&] {
      if (kind_ == Kind::socket) return ::send(STDERR_FILENO, rest.data(), rest.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      return ::write(descriptor(), rest.data(), rest.size());
    });
    if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return taken;
    if (size <= 0) return text.size();
    taken += static_cast<std::size_t>(size);
  }
  return taken;
}

}  // namespace troupe::process
