// The tests run in main of a program that uses troupe.

#define CATCH_CONFIG_RUNNER
#include <troupe/program.h>

#include "support/catch.h"

int main(int argc, char** argv) {
  const troupe::Program program(argc, argv);
  return Catch::Session().run(argc, argv);
}
