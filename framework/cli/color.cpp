#include "cli/color.h"

#include <unistd.h>

#include <cstdlib>
#include <string_view>

namespace troupe::cli {

namespace {

std::string_view variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

}  // namespace

bool use_color(const std::string& when, int fd) {
  if (when == "always" || when == "never") return when == "always";
  if (!variable("NO_COLOR").empty()) return false;
  if (const auto force = variable("CLICOLOR_FORCE"); !force.empty() && force != "0") return true;
  return variable("TERM") != "dumb" && isatty(fd) == 1;
}

}  // namespace troupe::cli
