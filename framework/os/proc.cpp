#include "os/proc.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>
#include <string>

#include "os/check_call.h"

namespace troupe::os {

namespace {

using Directory = std::unique_ptr<DIR, int (*)(DIR*)>;

// The numbers that name the entries of a directory; empty if it is not there.
std::vector<int> numbers_in(const std::string& path) {
  std::vector<int> numbers;
  const Directory directory(::opendir(path.c_str()), ::closedir);
  if (!directory) return numbers;
  while (const dirent* entry = ::readdir(directory.get())) {
    char* end;
    const long number = std::strtol(entry->d_name, &end, 10);
    if (end != entry->d_name && *end == 0) numbers.push_back(static_cast<int>(number));
  }
  std::ranges::sort(numbers);
  return numbers;
}

// Numbers of a file that separates them by blanks; it may end at any time, because its process may.
std::vector<pid_t> read_pids(int file) {
  std::vector<pid_t> pids;
  constexpr std::size_t kNumberMax = 16;
  std::array<char, 4096> buffer;
  pid_t number = 0;
  off_t offset = 0;
  while (true) {
    const auto size = retry_interrupted([&] { return ::pread(file, buffer.data(), buffer.size(), offset); });
    if (size <= 0) break;
    offset += size;
    for (auto c = buffer.begin(); c != buffer.begin() + size; ++c) {
      if (*c >= '0' && *c <= '9') {
        number = number * 10 + (*c - '0');
      } else if (number > 0) {
        pids.push_back(std::exchange(number, 0));
      }
    }
    // The kernel fills the buffer as far as whole numbers fit; with room for more there were none.
    if (static_cast<std::size_t>(size) + kNumberMax < buffer.size()) break;
  }
  return pids;
}

std::string children_path(pid_t pid, pid_t thread) {
  return "/proc/" + std::to_string(pid) + "/task/" + std::to_string(thread) + "/children";
}

}  // namespace

int thread_count() { return static_cast<int>(numbers_in("/proc/self/task").size()); }

std::vector<pid_t> children_of(pid_t pid) {
  std::vector<pid_t> children;
  for (pid_t thread : numbers_in("/proc/" + std::to_string(pid) + "/task")) {
    const Descriptor file(::open(children_path(pid, thread).c_str(), O_RDONLY | O_CLOEXEC));
    if (!file) continue;
    const auto more = read_pids(file.get());
    children.insert(children.end(), more.begin(), more.end());
  }
  return children;
}

std::vector<pid_t> descendants_of(pid_t pid) {
  auto all = children_of(pid);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto more = children_of(all[i]);
    all.insert(all.end(), more.begin(), more.end());
  }
  return all;
}

std::vector<int> open_descriptors() {
  auto fds = numbers_in("/proc/self/fd");
  std::erase_if(fds, [](int fd) { return ::fcntl(fd, F_GETFD) < 0; });  // the one that we looked through
  return fds;
}

ChildrenList::ChildrenList()
    : file_(check_call(::open(children_path(::getpid(), ::gettid()).c_str(), O_RDONLY | O_CLOEXEC),
                       "open /proc/self/task/*/children (is /proc mounted?)")) {}

std::vector<pid_t> ChildrenList::read() { return read_pids(file_.get()); }

}  // namespace troupe::os
