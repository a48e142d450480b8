#pragma once

#include "process/black_box.h"

namespace troupe::process {

// To be called once in root: whatever it forks from now on writes into its black box where it was when a signal ended it, or when
// root asks because it hangs. Signals that have a handler already (a sanitizer's) keep it.
void install_crash_handlers();

// Asks a process where it is; it goes on.
int tell_stack_signal();

// This process has `box` from now on, if any; frames of its stack above the caller's are none of its business if `is_bottom`.
void open_black_box(BlackBox* box, Serial serial, bool is_bottom);
// The box of this process: null if it has none, and in a fork of it that the user made.
BlackBox* black_box();

}  // namespace troupe::process
