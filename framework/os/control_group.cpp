#include "os/control_group.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <sstream>
#include <utility>

#include "os/check_call.h"

namespace troupe::os {

namespace {

constexpr const char* kEnable = "cgroup.subtree_control";
constexpr const char* kPrefix = "troupe-";
constexpr int kMoves = 10;  // looks for processes of ours that were forked while we moved the others

std::string whole_file(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string group_of_tree(pid_t tree) { return kPrefix + std::to_string(tree); }

// The process that a group is named after; 0 if it is none of ours.
pid_t tree_of(const std::string& name) {
  if (!name.starts_with(kPrefix)) return 0;
  pid_t tree = 0;
  std::from_chars(name.data() + std::string_view(kPrefix).size(), name.data() + name.size(), tree);
  return tree;
}

// Those of trees that are gone. With processes in it none can be removed, so a mistake would do no harm.
void remove_leftovers(const ControlGroup& base) {
  for (const std::string& name : base.names_below()) {
    const pid_t tree = tree_of(name);
    if (tree > 0 && ::kill(tree, 0) != 0 && errno == ESRCH) static_cast<void>(base.below(name).remove());
  }
}

bool move_all(const ControlGroup& from, const ControlGroup& to) {
  for (int i = 0; i < kMoves; ++i) {
    const auto processes = from.processes();
    if (processes.empty()) return true;
    for (const pid_t process : processes) static_cast<void>(to.take(process));  // it may have ended
  }
  return false;
}

// Moves the tree one down, so that the group may have others below it.
bool make_room(const ControlGroup& ours, pid_t tree, const std::vector<pid_t>& all) {
  const auto is_ours = [&](pid_t process) { return std::ranges::find(all, process) != all.end(); };
  const ControlGroup rest = ours.below(group_of_tree(tree));
  if (!std::ranges::all_of(ours.processes(), is_ours) || !rest.make()) return false;
  if (move_all(ours, rest) && ours.write(kEnable, "+memory")) return true;
  move_all(rest, ours);
  static_cast<void>(rest.remove());
  return false;
}

}  // namespace

std::optional<ControlGroup> ControlGroup::ours() { return in(whole_file("/proc/self/cgroup"), whole_file("/proc/self/mountinfo")); }

// "0::PATH", and a line of a mount "ID PARENT DEVICE ROOT POINT OPTIONS … - cgroup2 …": the path is below the mount's root.
std::optional<ControlGroup> ControlGroup::in(const std::string& membership, const std::string& mounts) {
  std::string path;
  std::istringstream groups(membership);
  for (std::string line; std::getline(groups, line);)
    if (line.starts_with("0::/")) path = line.substr(3);
  std::istringstream lines(mounts);
  for (std::string line; !path.empty() && std::getline(lines, line);) {
    std::string skipped, root, point;
    std::istringstream words(line);
    words >> skipped >> skipped >> skipped >> root >> point;
    if (line.find(" - cgroup2 ") == line.npos || point.find('\\') != point.npos) continue;
    if (root == "/") root.clear();
    if (path == "/") path.clear();
    if (!path.starts_with(root)) continue;
    const std::string rest = path.substr(root.size());
    if (rest.empty() || rest.front() == '/') return ControlGroup(point + rest);
  }
  return std::nullopt;
}

std::vector<std::string> ControlGroup::names_below() const {
  std::vector<std::string> names;
  DIR* folder = ::opendir(folder_.c_str());
  if (!folder) return names;
  while (const dirent* entry = ::readdir(folder))
    if (entry->d_type == DT_DIR && entry->d_name[0] != '.') names.emplace_back(entry->d_name);
  ::closedir(folder);
  return names;
}

bool ControlGroup::make() const { return ::mkdir(folder_.c_str(), 0755) == 0 || errno == EEXIST; }

bool ControlGroup::remove() const { return ::rmdir(folder_.c_str()) == 0 || errno == ENOENT; }

bool ControlGroup::write(const char* file, std::string_view text) const {
  const Descriptor open(::open((folder_ + "/" + file).c_str(), O_WRONLY | O_CLOEXEC));
  return open && retry_interrupted([&] { return ::write(open.get(), text.data(), text.size()); }) == static_cast<ssize_t>(text.size());
}

std::string ControlGroup::read(const char* file) const { return whole_file(folder_ + "/" + file); }

bool ControlGroup::lists(const char* file, std::string_view word) const {
  std::istringstream words(read(file));
  return std::find(std::istream_iterator<std::string>(words), {}, word) != std::istream_iterator<std::string>();
}

std::size_t ControlGroup::count(const char* file, std::string_view key) const {
  std::istringstream lines(read(file));
  std::size_t number = 0;
  for (std::string word; lines >> word >> number;)
    if (word == key) return number;
  return 0;
}

std::vector<pid_t> ControlGroup::processes() const {
  std::istringstream numbers(read("cgroup.procs"));
  return {std::istream_iterator<pid_t>(numbers), {}};
}

Descriptor ControlGroup::entrance() const { return Descriptor(::open((folder_ + "/cgroup.procs").c_str(), O_WRONLY | O_CLOEXEC)); }

bool take_me(int entrance) {
  return retry_interrupted([&] { return ::write(entrance, "0", 1); }) == 1;
}

std::unique_ptr<MemoryGroups> MemoryGroups::open(const ControlGroup& ours, pid_t tree, const std::vector<pid_t>& all) {
  const bool may_write = ::access(ours.folder().c_str(), W_OK) == 0 && ::access((ours.folder() + "/cgroup.procs").c_str(), W_OK) == 0;
  if (!may_write || !ours.lists("cgroup.controllers", "memory")) return nullptr;
  remove_leftovers(ours);
  if (!ours.lists(kEnable, "memory") && !make_room(ours, tree, all)) return nullptr;
  return std::unique_ptr<MemoryGroups>(new MemoryGroups(ours, tree));
}

MemoryGroups::MemoryGroups(ControlGroup base, pid_t tree) : base_(std::move(base)), prefix_(group_of_tree(tree) + ".") {}

std::unique_ptr<MemoryGroups::Group> MemoryGroups::make(std::uint64_t number, std::size_t bytes_max) {
  const ControlGroup group = base_.below(prefix_ + std::to_string(number));
  if (!group.make()) return nullptr;
  auto made = std::make_unique<Group>(*this, group);  // to be removed whatever comes
  if (!group.write("memory.max", std::to_string(bytes_max))) return nullptr;
  static_cast<void>(group.write("memory.swap.max", "0"));   // where there is none, there is nothing to forbid
  static_cast<void>(group.write("memory.oom.group", "1"));  // what it forked ends with it; older kernels leave that to us
  return made;
}

bool MemoryGroups::sweep() {
  std::erase_if(left_, [](const ControlGroup& group) { return group.remove(); });
  return left_.empty();
}

void leave_memory_groups(pid_t tree, bool killed) {
  if (const auto ours = ControlGroup::ours()) leave_memory_groups(*ours, tree, ::getpid(), killed);
}

void leave_memory_groups(const ControlGroup& ours, pid_t tree, pid_t self, bool killed) {
  const bool moved = ours.name() == group_of_tree(tree);
  if (!moved && !killed) return;
  const ControlGroup base = moved ? ours.above() : ours;
  for (const std::string& name : base.names_below())
    if (tree_of(name) == tree && name != group_of_tree(tree)) static_cast<void>(base.below(name).remove());
  if (!moved || !base.write(kEnable, "-memory")) return;
  if (base.take(self)) static_cast<void>(ours.remove());
}

}  // namespace troupe::os
