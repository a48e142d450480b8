#include "os/descriptor.h"

#include <fcntl.h>
#include <unistd.h>

#include "os/check_call.h"

namespace troupe::os {

void Descriptor::reset() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

Descriptor Descriptor::duplicate() const {
  return Descriptor(check_call(::fcntl(fd_, F_DUPFD_CLOEXEC, 3), "fcntl(F_DUPFD_CLOEXEC)"));
}

}  // namespace troupe::os
