#include "proc.h"

#include <filesystem>
#include <fstream>

#include <fmt/format.h>

namespace bench {
namespace {

long number_in(const std::string& file, const std::string& line) {
  std::ifstream status(file);
  for (std::string text; std::getline(status, text);)
    if (text.starts_with(line + ":")) return std::stol(text.substr(line.size() + 1));
  return 0;
}

std::vector<std::string> threads_of(pid_t pid) {
  std::vector<std::string> threads;
  std::error_code gone;
  for (std::filesystem::directory_iterator task(fmt::format("/proc/{}/task", pid), gone), end; !gone && task != end;
       task.increment(gone))
    threads.push_back(task->path());
  return threads;
}

}  // namespace

std::vector<pid_t> tree_of(pid_t pid) {
  std::vector<pid_t> all{pid};
  for (std::size_t i = 0; i < all.size(); ++i) {
    for (const auto& thread : threads_of(all[i])) {
      std::ifstream children(thread + "/children");
      for (pid_t child; children >> child;) all.push_back(child);
    }
  }
  return all;
}

long switches_of(pid_t pid) {
  long sum = 0;
  for (const auto& thread : threads_of(pid))
    sum +=
        number_in(thread + "/status", "voluntary_ctxt_switches") + number_in(thread + "/status", "nonvoluntary_ctxt_switches");
  return sum;
}

long status_of(pid_t pid, const std::string& line) { return number_in(fmt::format("/proc/{}/status", pid), line); }

}  // namespace bench
