#include "erlang.h"

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <stdexcept>

namespace bench {

bool erlang_is_here() {
  static const bool here = std::system("command -v escript >/dev/null 2>&1") == 0;
  return here;
}

double erlang(const std::string& what) {
  const std::string command = "escript " TROUPE_BENCH_ERLANG " " + what + " 2>/dev/null";
  const std::unique_ptr<FILE, int (*)(FILE*)> output(popen(command.c_str(), "r"), pclose);
  double number = 0;
  if (!output || std::fscanf(output.get(), "%lf", &number) != 1) throw std::runtime_error("escript did not tell a number");
  return number;
}

}  // namespace bench
