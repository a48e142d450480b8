#pragma once

namespace troupe::base {

// Prints what did not hold and where, then aborts: the process is not to be trusted, its supervisor starts a new one.
[[noreturn]] void check_failed(const char* condition, const char* file, int line, const char* why);

}  // namespace troupe::base

// For bugs, in the caller or in troupe: stays on in release builds. `why` tells the reader what to do about it.
#define TROUPE_CHECK(condition, why) \
  (__builtin_expect(static_cast<bool>(condition), 1) ? (void)0 : ::troupe::base::check_failed(#condition, __FILE__, __LINE__, why))
