#pragma once

#include <string>

namespace troupe::cli {

// Whether to write in colour to a descriptor. `when` is "always", "never" or "auto"; then NO_COLOR (not empty), CLICOLOR_FORCE
// (neither empty nor 0) and TERM=dumb are asked in that order, at last whether it is a terminal.
bool use_color(const std::string& when, int fd);

}  // namespace troupe::cli
