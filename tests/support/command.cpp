#include "support/command.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <stdexcept>

#include "os/check_call.h"
#include "os/proc.h"

namespace troupe::test {

namespace {

os::Descriptor memory_file(const char* name) { return os::Descriptor(os::check_call(memfd_create(name, MFD_CLOEXEC), "memfd_create")); }

std::string contents(const os::Descriptor& file) {
  std::string text(static_cast<std::size_t>(lseek(file.get(), 0, SEEK_END)), '\0');
  os::check_call(pread(file.get(), text.data(), text.size(), 0), "pread");
  return text;
}

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> result;
  for (std::string& word : words) result.push_back(word.data());
  result.push_back(nullptr);
  return result;
}

}  // namespace

Command::Command(std::vector<std::string> words, const std::vector<std::string>& environment)
    : out_(memory_file("stdout")), err_(memory_file("stderr")) {
  std::vector<std::string> all = environment;  // the first of a name counts
  for (char** entry = environ; *entry; ++entry) all.emplace_back(*entry);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, out_.get(), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, err_.get(), STDERR_FILENO);
  const int error = posix_spawn(&pid_, words.at(0).c_str(), &actions, nullptr, pointers(words).data(), pointers(all).data());
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) throw SystemError(error, "posix_spawn " + words[0]);
}

Command::~Command() {
  if (pid_ == 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

bool Command::running() const {
  siginfo_t info{};
  os::check_call(waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT), "waitid");
  return info.si_pid == 0;
}

std::vector<pid_t> Command::processes(const std::string& name) const {
  std::vector<pid_t> found;
  for (const pid_t pid : os::descendants_of(pid_)) {
    std::string comm;
    std::getline(std::ifstream("/proc/" + std::to_string(pid) + "/comm"), comm);
    if (comm.starts_with(name)) found.push_back(pid);
  }
  return found;
}

void Command::signal(int number) const { ::kill(pid_, number); }

Command::Result Command::wait() {
  int status = 0;
  os::check_call(os::retry_interrupted([&] { return ::waitpid(pid_, &status, 0); }), "waitpid");
  pid_ = 0;
  return {WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status), contents(out_), contents(err_)};
}

std::string shell(const std::string& line) {
  Command command({"/bin/sh", "-c", line});
  auto result = command.wait();
  if (result.exit_code != 0) throw std::runtime_error(line + ": " + result.err);
  return result.out;
}

}  // namespace troupe::test
