#pragma once

#include <cstddef>
#include <span>

#include "pipe/pipe_layout.h"

namespace troupe::pipe {

// For root. All need control_size() of the memory, may be repeated, and never wait. They throw ProtocolError if it was overwritten.

// The process that held the end of `side` under this slot is gone: takes its locks from it, and wakes everybody, because it may have
// been about to wake somebody, or have been woken. `socket`: that end's, if it has one.
void recover(std::span<std::byte> memory, Side side, shared::Slot slot, int socket = -1);

// The process that used the blocks under this slot is gone: frees what it alone used. To be called before recover() for the same process, for
// it finishes what the dead began under its locks.
void recover_blocks(std::span<std::byte> memory, shared::Slot slot);

// Nobody holds that end any more, nor ever will.
void end_gone(std::span<std::byte> memory, Side side, int socket = -1);

}  // namespace troupe::pipe
