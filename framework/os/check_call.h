#pragma once

#include <cerrno>
#include <string>

#include <troupe/errors.h>

namespace troupe::os {

// What to look at where `error` says that something ran short, to come after what was refused: " (a process may have 1024: see ulimit -n)".
// Empty for all other errors.
std::string remedy(int error);

// A SystemError with its remedy; `what` names the call and its object.
[[noreturn]] void throw_error(int error, const std::string& what);

// `result` of a system call, or a SystemError with errno where it is negative; `what` names the call and its object.
template <class Result>
Result check_call(Result result, const char* what) {
  if (result < 0) throw_error(errno, what);
  return result;
}

// Repeats a call that a signal interrupted.
template <class Call>
auto retry_interrupted(Call call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

}  // namespace troupe::os
