// What the rooms above believe about pidfds, /proc and signals.

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "os/epoll.h"
#include "os/pidfd.h"
#include "os/proc.h"
#include "os/signals.h"
#include "support/catch.h"

namespace os = troupe::os;

namespace {

pid_t fork_sleeper() {
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::pause();
    ::_exit(0);
  }
  return pid;
}

}  // namespace

TEST_CASE("a pidfd tells of the end, and the child can be reaped once") {
  const pid_t child = fork_sleeper();
  const auto pidfd = os::open_pidfd(child);
  CHECK_FALSE(os::wait_for(pidfd.get(), POLLIN, troupe::Clock::now()));
  CHECK_FALSE(os::reap(child));
  CHECK(os::send_signal(pidfd, SIGKILL));
  CHECK(os::wait_for(pidfd.get(), POLLIN, troupe::Clock::time_point::max()));
  const auto exit = os::reap(child);
  REQUIRE(exit);
  CHECK(exit->signalled);
  CHECK(exit->code == SIGKILL);
  CHECK_FALSE(os::reap(child));
  CHECK_FALSE(os::send_signal(pidfd, SIGKILL));
}

TEST_CASE("children are found, zombies included, until they are reaped") {
  os::ChildrenList list;
  const pid_t child = fork_sleeper();
  CHECK(list.read() == std::vector{child});
  CHECK(os::children_of(::getpid()) == std::vector{child});
  CHECK(os::descendants_of(::getpid()) == std::vector{child});
  const auto pidfd = os::open_pidfd(child);
  ::kill(child, SIGKILL);
  os::wait_for(pidfd.get(), POLLIN, troupe::Clock::time_point::max());
  CHECK(list.read() == std::vector{child});
  os::reap(child);
  CHECK(list.read().empty());
}

TEST_CASE("threads and descriptors are counted") {
  CHECK(os::thread_count() == 1);
  std::thread([] { CHECK(os::thread_count() >= 2); }).join();  // ThreadSanitizer adds one of its own
  const auto before = os::open_descriptors();
  const os::Descriptor more(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const auto after = os::open_descriptors();
  CHECK(after.size() == before.size() + 1);
  CHECK(std::ranges::count(after, more.get()) == 1);
}

TEST_CASE("a blocked signal is read with its sender, even one that is ignored") {
  os::ignore_signal(SIGUSR1);
  const auto before = os::block_signals(os::signal_set({SIGUSR1}));
  os::SignalReader reader(os::signal_set({SIGUSR1}));
  CHECK_FALSE(reader.read());
  ::kill(::getpid(), SIGUSR1);
  const auto info = reader.read();
  REQUIRE(info);
  CHECK(info->ssi_signo == SIGUSR1);
  CHECK(info->ssi_pid == static_cast<std::uint32_t>(::getpid()));
  os::set_blocked_signals(before);
  os::set_default_action(SIGUSR1);
}
