#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "os/descriptor.h"

namespace troupe::os {

// A group of processes of the kernel's (cgroup, version 2), by its folder.
//
// Files are read and written whole. Nothing here throws: whoever uses groups can do without.
//
// Threads: a value.
class ControlGroup {
 public:
  explicit ControlGroup(std::string folder) : folder_(std::move(folder)) {}
  // The one that this process is in; nothing where there is no version 2.
  static std::optional<ControlGroup> ours();
  // The same, from the texts of /proc/self/cgroup and /proc/self/mountinfo.
  static std::optional<ControlGroup> in(const std::string& membership, const std::string& mounts);

  [[nodiscard]] const std::string& folder() const { return folder_; }
  [[nodiscard]] std::string name() const { return folder_.substr(folder_.rfind('/') + 1); }
  [[nodiscard]] ControlGroup above() const { return ControlGroup(folder_.substr(0, folder_.rfind('/'))); }
  [[nodiscard]] ControlGroup below(const std::string& name) const { return ControlGroup(folder_ + "/" + name); }
  [[nodiscard]] std::vector<std::string> names_below() const;

  // False if it cannot be made; one that is there already will do.
  [[nodiscard]] bool make() const;
  // False while there is somebody in it.
  [[nodiscard]] bool remove() const;
  [[nodiscard]] bool write(const char* file, std::string_view text) const;
  [[nodiscard]] std::string read(const char* file) const;  // empty if it cannot be
  // Whether `word` is one of those in the file.
  [[nodiscard]] bool lists(const char* file, std::string_view word) const;
  // The number behind `key` in a file of lines "KEY NUMBER"; 0 if there is none.
  [[nodiscard]] std::size_t count(const char* file, std::string_view key) const;
  [[nodiscard]] std::vector<pid_t> processes() const;
  [[nodiscard]] bool take(pid_t process) const { return write("cgroup.procs", std::to_string(process)); }
  // A descriptor for take_me(); none if it cannot be had.
  [[nodiscard]] Descriptor entrance() const;

 private:
  std::string folder_;
};

// Moves this process into the group whose entrance that is.
bool take_me(int entrance);

// Groups that limit the memory of single processes of one tree, and of what these fork. They are made below the group that the tree is
// in, if that may be: it has the memory controller, may be written to, and nobody else is in it (a group with groups that are limited
// must have no processes of its own, so the tree moves into one below), or it is the topmost one, where that is allowed.
//
//     if (auto groups = MemoryGroups::open(*ControlGroup::ours(), getpid(), {guard, getpid(), …}))
//       if (auto group = groups->make(serial, 64 << 20)) …
//
// What holds: groups that are empty are removed by sweep(), the destructor, leave_memory_groups() in whoever outlives the tree, or the
// next tree that finds them; whoever is killed in between leaves empty folders at most.
//
// Threads: one at a time.
class MemoryGroups {
 public:
  // `tree` is a process whose number names the groups, `all` are the processes of the tree. Null if memory cannot be limited so.
  static std::unique_ptr<MemoryGroups> open(const ControlGroup& ours, pid_t tree, const std::vector<pid_t>& all);
  ~MemoryGroups() { sweep(); }
  MemoryGroups(const MemoryGroups&) = delete;
  MemoryGroups& operator=(const MemoryGroups&) = delete;

  // One process's group: as long as it lives, and then given back.
  class Group {
   public:
    Group(MemoryGroups& of, ControlGroup group) : of_(of), group_(std::move(group)), kills_before_(kills()) {}
    ~Group() { of_.left_.push_back(std::move(group_)); }
    Group(const Group&) = delete;
    Group& operator=(const Group&) = delete;
    [[nodiscard]] Descriptor entrance() const { return group_.entrance(); }
    // The kernel has killed in it, because there was no memory left in it.
    [[nodiscard]] bool ran_out() const { return kills() > kills_before_; }

   private:
    [[nodiscard]] std::size_t kills() const { return group_.count("memory.events", "oom_kill"); }
    MemoryGroups& of_;
    ControlGroup group_;
    const std::size_t kills_before_;
  };
  // Null if there can be none now.
  std::unique_ptr<Group> make(std::uint64_t number, std::size_t bytes_max);

  // Removes those that were given back, as far as they are empty; whether all are.
  bool sweep();

 private:
  MemoryGroups(ControlGroup base, pid_t tree);
  ControlGroup base_;
  const std::string prefix_;
  std::vector<ControlGroup> left_;
};

// In a process that outlives the tree, when all others of it are gone: undoes what open() did, and removes what was left. `killed`: the
// tree had no time to do so.
void leave_memory_groups(pid_t tree, bool killed);
// The same, in the group that this process was in.
void leave_memory_groups(const ControlGroup& ours, pid_t tree, pid_t self, bool killed);

}  // namespace troupe::os
