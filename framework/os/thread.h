#pragma once

#include <functional>
#include <thread>

namespace troupe::os {

// A thread of ours in a user's process: it takes none of the process's signals. Throws SystemError, saying `what` it was for.
std::thread start_thread(std::function<void()> body, const char* what);

}  // namespace troupe::os
