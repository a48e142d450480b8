#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>
#include <span>

#include "os/descriptor.h"
#include "process/black_box.h"
#include "process/client.h"
#include "process/entry.h"
#include "process/id.h"
#include "process/origin.h"
#include "process/root.h"

namespace troupe::process {

// All that a new process is told; it finds it in its memory, a copy of root's.
struct Birth {
  ProcessId id = kNoProcess;
  Serial serial = 0;
  const ChildSpec* spec = nullptr;
  std::optional<Relative> parent;  // who started it, if that was not root
  os::Descriptor socket;          // to root
  os::Descriptor arguments;       // a memfd instead of spec->arguments, when they are large
  os::Descriptor error;           // for standard error, where root keeps the end of that
  BlackBox* box = nullptr;
  std::vector<ThingGrant> things;
  int group = -1;  // the entrance of one that limits its memory, if there is one
};

// Ties the life of this process to that of its parent, which is `parent`; ends at once if that is dead already.
void die_with_parent(pid_t parent, int signal);

// The life of a child of root, from its fork on: makes it a process as the user expects one, runs its entry, and exits.
[[noreturn]] void live(const Origin& origin, pid_t root, Birth birth);

// The same for one that is forked ahead, before anybody has said what it is to be (see spare in root_spare.cpp): does what is the same
// for all, then waits at its socket for a control::Birth, for which there is `room`. Of `birth` there are the serial, the socket and
// the box. Ends when the socket is closed.
[[noreturn]] void live_later(const Origin& origin, pid_t root, Birth birth, std::span<std::byte> room);

// The same for main, which goes on where Program was made: its connection.
std::unique_ptr<Client> live_as_main(const Origin& origin, pid_t root, Birth birth);

// Writes out what stdio and iostreams hold, so that no copy of this process does it again.
void flush_streams();

// To be called once in root, and in main: who calls exit() waits for its children first. A child of root then flushes and ends:
// root's own destructors are not run in it.
void prepare_exits();

}  // namespace troupe::process
