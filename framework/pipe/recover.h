#pragma once

#include <cstddef>
#include <span>

#include "pipe/pipe_layout.h"

namespace troupe::pipe {

// For root. Both need no more of the memory than its header, may be repeated, and never wait. They throw ProtocolError if it was
// overwritten.

// The process that held the end of `side` under this slot is gone: takes its locks from it, and wakes everybody, because it may have
// been about to wake somebody, or have been woken.
void recover(std::span<std::byte> memory, Side side, shared::Slot slot);

// Nobody holds that end any more, nor ever will.
void end_gone(std::span<std::byte> memory, Side side);

}  // namespace troupe::pipe
