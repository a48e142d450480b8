#include <troupe/death.h>

#include "support/catch.h"

using troupe::Death;

TEST_CASE("a death says in one line how it came about") {
  CHECK(Death{Death::Cause::exited, 3, ""}.describe() == "exited with code 3");
  CHECK(Death{Death::Cause::signalled, 9, ""}.describe() == "killed by SIGKILL");
  CHECK(Death{Death::Cause::exception, 0, "no such file"}.describe() == "threw an exception: no such file");
}

TEST_CASE("exitcode() is Python's: n, or -signal") {
  CHECK(Death{Death::Cause::exited, 3, ""}.exitcode() == 3);
  CHECK(Death{Death::Cause::signalled, 9, ""}.exitcode() == -9);
}

TEST_CASE("only exit code 0 and an ordered stop are normal ends") {
  CHECK(Death{Death::Cause::exited, 0, ""}.normal());
  CHECK(Death{Death::Cause::stopped, -15, ""}.normal());
  CHECK_FALSE(Death{Death::Cause::exited, 1, ""}.normal());
  CHECK_FALSE(Death{Death::Cause::signalled, 15, ""}.normal());
}

TEST_CASE("a report adds what was seen, which is not compared") {
  const Death plain{Death::Cause::signalled, 11, "at address 0x0"};
  Death death = plain;
  death.message = "Add";
  death.stack = {"crash() in demo+0x10", "main in demo+0x20"};
  death.last_lines = {"about to crash"};
  CHECK(death == plain);
  CHECK(plain.report() == "killed by SIGSEGV: at address 0x0\n");
  CHECK(death.report() ==
        "killed by SIGSEGV: at address 0x0\n"
        "  with a message in hand: Add\n"
        "  #0 crash() in demo+0x10\n"
        "  #1 main in demo+0x20\n"
        "  last lines on standard error:\n"
        "  | about to crash\n");
}
