#pragma once

#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <system_error>
#include <thread>

#include <troupe/process.h>
#include <troupe/value.h>

#include "program/shared_thing.h"
#include "support/catch.h"

// What the tests of handles share.
namespace handles_test {

// Root's number of what it stands for.
template <class Handle>
std::uint64_t number_of(const Handle& handle) {
  troupe::Attachments attachments;
  static_cast<void>(troupe::Codec<Handle>::pack(handle, attachments));
  return attachments.handles.at(0);
}

// Once nobody uses it, what a handle stands for is gone. (Others tell root in their own time; if they never do, this does not return.)
inline void check_gone(std::uint64_t handle) {
  while (true) {
    try {
      static_cast<void>(troupe::process::Client::here()->open_thing(handle));
      troupe::process::Client::here()->close_thing(handle);
    } catch (const std::system_error&) {
      return;
    }
    std::this_thread::yield();
  }
}

[[noreturn]] inline void die() {
  ::kill(::getpid(), SIGKILL);
  ::_exit(99);
}

inline void run(troupe::Process&& process, int exitcode = 0) {
  process.start();
  process.join();
  REQUIRE(process.exitcode() == exitcode);
}

}  // namespace handles_test
