// The tests run in main of a program that uses troupe.

#define CATCH_CONFIG_RUNNER
#include <troupe/program.h>

#include <cstdlib>
#include <string_view>

#include "support/catch.h"
#include "support/wait_for_root.h"

// What a test executes this program for.
[[gnu::noinline]] void crash_as_a_program() {
  std::abort();
  asm volatile("");  // so that the call is no tail call
}

int main(int argc, char** argv) {
  const troupe::Program program(argc, argv);
  if (argc == 2 && std::string_view(argv[1]) == "--crash") crash_as_a_program();
  troupe::test::wait_for_root(*troupe::process::Client::here());
  return Catch::Session().run(argc, argv);
}
