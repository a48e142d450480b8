#pragma once

#include <cstddef>
#include <functional>
#include <span>

#include "os/descriptor.h"
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

// Throws ProtocolError where a lock of that end seems to be held by somebody who is no user of it: nobody would ever unlock it; or where one
// of either end is broken.
void check_locks(std::span<std::byte> memory, Side side, const std::function<bool(shared::Slot)>& is_user);

// The memory was overwritten: from now on all who use either end, or sleep there, get a ProtocolError. By whoever found out, also where
// nothing in it is to be believed.
void break_for_good(PipeHeader& header, int socket);
void break_for_good(const os::Descriptor& memory, int socket);

}  // namespace troupe::pipe
