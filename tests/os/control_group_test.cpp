// Groups of processes that limit memory: what is decided, on folders that look like the kernel's; what the kernel does, where it lets us.

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "os/control_group.h"
#include "support/catch.h"

namespace fs = std::filesystem;
using troupe::os::ControlGroup;
using troupe::os::MemoryGroups;

namespace {

// What a folder of the kernel's looks like to who reads it; what is written to it stays there as it is.
class Folder {
 public:
  Folder() {
    char name[] = "/tmp/troupe-test-XXXXXX";
    path_ = mkdtemp(name);
  }
  ~Folder() { fs::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  void put(const std::string& file, const std::string& text) const {
    fs::create_directories((path_ / file).parent_path());
    std::ofstream(path_ / file) << text;
  }
  [[nodiscard]] std::string get(const std::string& file) const {
    std::ifstream in(path_ / file);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  [[nodiscard]] bool has(const std::string& file) const { return fs::exists(path_ / file); }
  [[nodiscard]] ControlGroup group() const { return ControlGroup(path_); }

 private:
  fs::path path_;
};

// Of process 70, where memory may be limited already.
void put_group(const Folder& folder, const std::string& number) {
  for (const char* file : {"memory.max", "memory.swap.max", "memory.oom.group", "cgroup.procs"}) folder.put("troupe-70." + number + "/" + file, "");
  folder.put("troupe-70." + number + "/memory.events", "low 0\nhigh 0\nmax 3\noom 0\noom_kill 0\n");
}

std::string folder_in(const std::string& membership, const std::string& mounts) {
  const auto group = ControlGroup::in(membership, mounts);
  return group ? group->folder() : "none";
}

constexpr const char* kMount = "31 23 0:27 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";

}  // namespace

TEST_CASE("one's own group is found below its mount") {
  CHECK(folder_in("0::/user.slice/one.scope\n", kMount) == "/sys/fs/cgroup/user.slice/one.scope");
  CHECK(folder_in("0::/\n", kMount) == "/sys/fs/cgroup");
  CHECK(folder_in("4:memory:/old\n0::/new\n", std::string("24 23 0:20 / /proc rw - proc proc rw\n") + kMount) == "/sys/fs/cgroup/new");
  CHECK(folder_in("0::/pod/one\n", "31 23 0:27 /pod /here rw - cgroup2 none rw\n") == "/here/one");
  CHECK(folder_in("0::/pod\n", "31 23 0:27 /pod /here rw - cgroup2 none rw\n") == "/here");
  CHECK(folder_in("0::/podium\n", "31 23 0:27 /pod /here rw - cgroup2 none rw\n") == "none");  // not to be seen from here
  CHECK(folder_in("0::/../other\n", "31 23 0:27 /pod /here rw - cgroup2 none rw\n") == "none");
  CHECK(folder_in("4:memory:/old\n", kMount) == "none");
  CHECK(folder_in("0::/new\n", "24 23 0:20 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n") == "none");
  CHECK(folder_in("", "") == "none");
}

TEST_CASE("memory is limited by groups only where the kernel does so and nobody else is concerned") {
  const Folder folder;
  const auto open = [&] { return MemoryGroups::open(folder.group(), 70, {70, 71}) != nullptr; };
  CHECK_FALSE(open());  // no such files
  folder.put("cgroup.procs", "");
  folder.put("cgroup.controllers", "cpu io\n");
  folder.put("cgroup.subtree_control", "");
  CHECK_FALSE(open());
  folder.put("cgroup.controllers", "cpu memory io\n");
  folder.put("cgroup.procs", "70\n71\n4711\n");
  CHECK_FALSE(open());  // a stranger
  CHECK_FALSE(folder.has("troupe-70"));
  folder.put("cgroup.subtree_control", "memory\n");
  CHECK(open());  // it has been arranged for that
}

TEST_CASE("a tree that is alone in its group moves out of the way of its groups") {
  const Folder folder;
  folder.put("cgroup.controllers", "memory\n");
  folder.put("cgroup.subtree_control", "");
  folder.put("cgroup.procs", "");  // as after it has moved
  folder.put("troupe-70/cgroup.procs", "");
  CHECK(MemoryGroups::open(folder.group(), 70, {70, 71}));
  CHECK(folder.get("cgroup.subtree_control") == "+memory");
  // And when nothing is there any more that needs it, back.
  put_group(folder, "5");
  leave_memory_groups(folder.group().below("troupe-70"), 70, 71, false);
  CHECK(folder.get("cgroup.subtree_control") == "-memory");
  CHECK(folder.get("cgroup.procs") == "71");
}

TEST_CASE("where it cannot have groups the tree stays where it was") {
  const Folder folder;
  folder.put("cgroup.controllers", "memory\n");
  folder.put("cgroup.subtree_control", "");
  folder.put("cgroup.procs", "70\n71\n");  // who cannot be moved: the file keeps what is in it
  folder.put("troupe-70/cgroup.procs", "");
  CHECK_FALSE(MemoryGroups::open(folder.group(), 70, {70, 71}));
  CHECK(folder.get("cgroup.subtree_control").empty());
}

TEST_CASE("a group has its limits before anybody is in it, and tells whether the kernel killed there") {
  const Folder folder;
  folder.put("cgroup.controllers", "memory\n");
  folder.put("cgroup.subtree_control", "memory\n");
  folder.put("cgroup.procs", "");
  put_group(folder, "5");
  const auto groups = MemoryGroups::open(folder.group(), 70, {70});
  REQUIRE(groups);
  {
    const auto group = groups->make(5, 1000);
    REQUIRE(group);
    CHECK(folder.get("troupe-70.5/memory.max") == "1000");
    CHECK(folder.get("troupe-70.5/memory.swap.max") == "0");
    CHECK(folder.get("troupe-70.5/memory.oom.group") == "1");
    CHECK(group->entrance());
    CHECK_FALSE(group->ran_out());
    folder.put("troupe-70.5/memory.events", "low 0\nhigh 0\nmax 9\noom 1\noom_kill 2\n");
    CHECK(group->ran_out());
  }
  CHECK_FALSE(groups->sweep());  // of the kernel's files none are in the way; these are
  fs::remove_all(folder.group().below("troupe-70.5").folder());
  CHECK(groups->sweep());
  CHECK_FALSE(groups->make(6, 1000));  // there is no memory.max in it
  CHECK(groups->sweep());
  CHECK_FALSE(folder.has("troupe-70.6"));
}

TEST_CASE("what a tree left that was killed is removed by who outlives it, or by the next") {
  const Folder folder;
  const pid_t gone = fork();
  if (gone == 0) _exit(0);
  REQUIRE(waitpid(gone, nullptr, 0) == gone);
  const std::string dead = "troupe-" + std::to_string(gone), alive = "troupe-" + std::to_string(getpid());
  const auto leave_some = [&] {
    for (const std::string& name : {dead + ".1", dead + ".2", alive + ".1", std::string("troupe-x"), std::string("other")})
      fs::create_directories(folder.group().below(name).folder());
  };
  leave_some();
  leave_memory_groups(folder.group(), gone, getpid(), false);  // it had the time to do so itself
  CHECK(folder.has(dead + ".1"));
  leave_memory_groups(folder.group(), gone, getpid(), true);
  CHECK_FALSE(folder.has(dead + ".1"));
  leave_some();
  folder.put("cgroup.controllers", "memory\n");
  folder.put("cgroup.subtree_control", "memory\n");
  folder.put("cgroup.procs", "");
  CHECK(MemoryGroups::open(folder.group(), 70, {70}));
  CHECK_FALSE(folder.has(dead + ".1"));
  CHECK_FALSE(folder.has(dead + ".2"));
  for (const std::string& name : {alive + ".1", std::string("troupe-x"), std::string("other")}) CHECK(folder.has(name));
}

TEST_CASE("the kernel's groups are made, entered, left and removed") {
  const auto ours = ControlGroup::ours();
  if (!ours) {
    WARN("skipped: there is no cgroup of version 2 here");
    return;
  }
  const auto group = ours->below("troupe-test-" + std::to_string(getpid()));
  if (!group.make()) {
    WARN("skipped: this user may not make groups in " << ours->folder());
    return;
  }
  const auto entrance = group.entrance();
  REQUIRE(entrance);
  int ready[2], go[2];
  REQUIRE(pipe2(ready, O_CLOEXEC) == 0);
  REQUIRE(pipe2(go, O_CLOEXEC) == 0);
  const pid_t child = fork();
  if (child == 0) {
    const char entered = troupe::os::take_me(entrance.get()) ? 'y' : 'n';
    if (write(ready[1], &entered, 1) != 1) _exit(1);
    char told = 0;
    _exit(read(go[0], &told, 1) == 1 ? 0 : 1);
  }
  char entered = 0;
  REQUIRE(read(ready[0], &entered, 1) == 1);
  const auto inside = group.processes();
  const bool removed_early = group.remove();
  REQUIRE(write(go[1], "x", 1) == 1);
  REQUIRE(waitpid(child, nullptr, 0) == child);
  CHECK(group.remove());
  for (const int fd : {ready[0], ready[1], go[0], go[1]}) close(fd);
  if (entered == 'n') {
    WARN("skipped: this user may not move processes from " << ours->folder());
    return;
  }
  CHECK(inside == std::vector{child});
  CHECK_FALSE(removed_early);
}
