#include "os/event.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>

#include "os/check_call.h"

namespace troupe::os {

Descriptor make_event() { return Descriptor(check_call(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd")); }

bool is_event(const Descriptor& event) {
  const int flags = ::fcntl(event.get(), F_GETFL);
  if (flags < 0 || (flags & O_NONBLOCK) == 0) return false;
  return event.name() == "anon_inode:[eventfd]";
}

void ring_event(const Descriptor& event) {
  const std::uint64_t one = 1;
  // EAGAIN: rung 2^64 times without a reading. Nothing else can go wrong with an eventfd.
  [[maybe_unused]] const auto written = retry_interrupted([&] { return ::write(event.get(), &one, sizeof one); });
}

}  // namespace troupe::os
