#pragma once

#include <troupe/catalog.h>

namespace troupe::cli {

// The command `troupe`: all of main(), for the ready-made actors that `add_actors` knows. The result is the exit code; after a signal
// that ended a run it does not return, but dies of that signal.
//
// Threads: main's, while it is the only one.
int main_command(int argc, char** argv, void (*add_actors)(ActorCatalog& catalog));

}  // namespace troupe::cli
