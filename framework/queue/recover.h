#pragma once

#include <cstdint>
#include <functional>

#include "queue/queue_memory.h"
#include "queue/tickets.h"

namespace troupe::queue {

// What recover() does; tests leave out a step to see that they would notice.
struct RecoverSteps {
  bool segment_lock = true;
  bool get_lock = true;
  bool put_lock = true;
  bool order = true;
  bool blocks = true;
  bool leases = true;
  bool wake = true;
};

// Puts the affairs of the user in `slot` in order, whose process is gone or is done with the queue. Afterwards another may have the
// slot. For root alone, which sees the deaths: it never waits for a living user, and does nothing twice if it is called twice.
//
//  1. Takes over the locks that the user held and finishes or undoes what it was doing under them. With another order than first in,
//     first out, it only sees to it that whoever comes next does that: the order of a million items takes its time.
//  2. Frees the blocks that it was writing.
//  3. Returns its leases; those delivered too often become dead letters. One whose ticket `is_over` was about to be acknowledged.
//  4. Wakes everybody who sleeps on any word. The user may have been about to wake one, or have been woken in another's stead;
//     nobody knows, and this covers it all.
//
// Throws ProtocolError if the shared memory was overwritten.
//
// Threads: one at a time in the whole tree.
using IsOver = std::function<bool(Ticket)>;
void recover(const QueueMemory& memory, std::uint32_t slot, const RecoverSteps& steps = {}, const IsOver& is_over = {});

// Throws ProtocolError where a lock seems to be held by somebody who is no user: nobody would ever unlock it. For root.
void check_locks(const QueueMemory& memory, const std::function<bool(std::uint32_t slot)>& is_user);

// The memory was overwritten: from now on all who use it, or sleep in it, get a ProtocolError. By whoever found out, also where nothing
// in it is to be believed.
void break_for_good(ControlArea& control);
void break_for_good(const os::Descriptor& memory);

}  // namespace troupe::queue
