#pragma once

#include <string_view>

namespace troupe::os {

// Writes to stderr and never waits: what its reader has no room for is dropped. Whole lines of up to 4 KiB go whole or not at all.
// SIGPIPE must be blocked or ignored. Threads: one at a time.
void print_error_output(std::string_view text);

}  // namespace troupe::os
