#pragma once

#include <string_view>

namespace troupe::os {

// Writes to stderr and never waits: false if there is no room now, because its reader does not read, or because another process is
// just writing to the same terminal. What can never be written is dropped. Whole lines of up to 4 KiB go whole or not at all.
// SIGPIPE must be blocked or ignored. Threads: one at a time.
bool print_error_output(std::string_view text);

}  // namespace troupe::os
