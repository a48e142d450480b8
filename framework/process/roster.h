#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include <troupe/death.h>
#include <troupe/duration.h>

#include "os/control_group.h"
#include "os/descriptor.h"
#include "os/memory.h"
#include "process/black_box.h"
#include "process/heart.h"
#include "process/id.h"
#include "process/last_lines.h"
#include "process/root.h"
#include "process/thing_id.h"
#include "process/timers.h"
#include "transport/link.h"

namespace troupe::process {

// A packet that waits for room in a socket.
struct Packet {
  std::vector<std::byte> bytes;
  std::vector<os::Descriptor> descriptors;
};

// Somebody wants a link with a process whose start lies in its starter's socket still.
struct EarlyLink {
  ProcessId from = kNoProcess;
  ProcessId to = kNoProcess;
  transport::LinkOptions options;
  std::vector<os::Descriptor> ends;
};

// What root knows of a living process that it started.
struct Process {
  ProcessId id = kNoProcess;
  Serial serial = 0;
  pid_t pid = 0;
  std::string name;
  os::Descriptor pidfd;
  os::Descriptor socket;           // closed when the process has closed its end
  ChildEvents* events = nullptr;   // who hears of it, if that runs in root
  Duration stop_timeout{};
  Timers::Id start_timer = 0;
  Timers::Id kill_timer = 0;
  std::unique_ptr<Heart> heart;    // if it is watched
  Timers::Id stop_watch = 0;       // while it is stopped by a signal
  bool held = false;               // by a debugger, when it was looked at last
  Timers::Id busy_timer = 0;       // while the outbox waits for the kernel, not for the socket
  bool stopping = false;           // was asked to end in order
  bool killed = false;             // by us, after or instead of that
  std::optional<Death> why_stopped;  // in that case, where it is not just that somebody wanted it
  std::optional<Death> verdict;    // why it ends, where the kernel's word is not the reason
  Death last_words;                // of itself, why it will not end well
  std::uint32_t restarts = 0;      // before this life
  BlackBox* box = nullptr;         // one of BlackBoxes, or in own_box
  os::Mapping own_box;             // of a process that was executed
  os::Descriptor output;           // what it writes to standard error, where that is kept
  LastLines last_lines;
  std::string unsent;              // of that, not passed on yet
  Limits limits;
  os::Descriptor memory;           // /proc/PID/statm, where that is limited
  std::unique_ptr<os::MemoryGroups::Group> group;  // where there is one, in addition
  bool over_budget = false;
  bool executed = false;           // another program, which shares no functions with us
  bool dead = false;               // its last words are being read
  bool uses_names = false;
  bool uses_service = false;
  std::uint32_t interest = 0;      // what the loop waits for at the socket
  std::vector<Packet> outbox;
  std::unordered_set<ProcessId> started;  // by it, and alive
  std::uint32_t last_started = 0;         // by it: the highest count so far
  std::vector<EarlyLink> early;           // with those that it will start
  std::set<std::uint32_t> early_given;    // those who were given handles before: their counts
  std::unordered_set<ProcessId> linked;   // with it: hear of its end
  std::vector<ThingGrant> granted;        // while it is being forked
};

// The living processes of the tree, and how the last of the dead ended.
//
// Threads: a value.
class Roster {
 public:
  Process& add(std::unique_ptr<Process> process);
  // Gives it away; its death is remembered for a while.
  std::unique_ptr<Process> remove(Process& process, const Death& death);

  [[nodiscard]] Process* by_id(ProcessId id) const;
  [[nodiscard]] Process* by_serial(Serial serial) const;
  [[nodiscard]] Process* by_pid(pid_t pid) const;
  [[nodiscard]] bool has_pid(pid_t pid) const { return pids_.contains(pid); }
  [[nodiscard]] std::size_t size() const { return ids_.size(); }
  // How `id` ended; `unreachable` if that was too long ago, or never lived.
  [[nodiscard]] Death death_of(ProcessId id) const;
  // A serial that no living process has.
  Serial new_serial();

  template <class Action>
  void for_each(Action action) const {
    for (const auto& [id, process] : ids_) action(*process);
  }

  static constexpr std::size_t kDeathsKept = 1024;

 private:
  std::unordered_map<ProcessId, std::unique_ptr<Process>> ids_;
  std::unordered_map<Serial, Process*> serials_;
  std::unordered_set<pid_t> pids_;
  std::vector<std::pair<ProcessId, Death>> deaths_;  // a circle, once it is full
  std::size_t next_death_ = 0;
  Serial last_serial_ = kRootSerial;
};

}  // namespace troupe::process
