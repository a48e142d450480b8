// The tests run in main of a program that uses troupe.

#define CATCH_CONFIG_RUNNER
#include <troupe/process.h>
#include <troupe/program.h>
#include <troupe/sync.h>

#include <chrono>
#include <thread>

#include "support/catch.h"

// What a process with threads keeps once one of them has waited: no test is to find that left over by another.
static void wait_among_threads() {
  std::thread([] {}).join();
  troupe::Event end;
  troupe::Process process([](troupe::Event told) { told.wait(); }, end);
  process.start();
  process.join(std::chrono::milliseconds(1));
  end.set();
  process.join();
}

int main(int argc, char** argv) {
  const troupe::Program program(argc, argv);
  wait_among_threads();
  return Catch::Session().run(argc, argv);
}
