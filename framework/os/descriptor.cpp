#include "os/descriptor.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string_view>

#include "os/check_call.h"

namespace troupe::os {

void Descriptor::reset() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

std::string Descriptor::name() const {
  const int error = errno;
  std::array<char, 128> text;
  const auto size = ::readlink(("/proc/self/fd/" + std::to_string(fd_)).c_str(), text.data(), text.size());
  errno = error;
  std::string_view name(text.data(), size < 0 ? 0 : static_cast<std::size_t>(size));
  if (name.starts_with("/memfd:")) name.remove_prefix(1);
  if (name.ends_with(" (deleted)")) name.remove_suffix(std::string_view(" (deleted)").size());
  return std::string(name);
}

Descriptor Descriptor::duplicate() const {
  const int same = ::fcntl(fd_, F_DUPFD_CLOEXEC, 3);
  if (same < 0) throw_error(errno, "another descriptor for " + name());
  return Descriptor(same);
}

}  // namespace troupe::os
