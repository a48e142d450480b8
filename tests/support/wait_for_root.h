#pragma once

#include <troupe/errors.h>

#include "process/client.h"

namespace troupe::test {

// What a process with threads keeps once it has waited for root is not to be found left over by a test. Under ThreadSanitizer all have
// threads, for it has one of its own.
inline void wait_for_root(process::Client& client) {
  try {
    static_cast<void>(client.open_thing(~process::ThingId{0}));
  } catch (const SystemError&) {  // there is no such thing
  }
}

}  // namespace troupe::test
