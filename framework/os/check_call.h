#pragma once

#include <cerrno>
#include <string>

#include <troupe/errors.h>

namespace troupe::os {

// `result` of a system call, or a SystemError with errno where it is negative; `what` names the call and its object.
template <class Result>
Result check_call(Result result, const char* what) {
  if (result < 0) throw SystemError(errno, what);
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
