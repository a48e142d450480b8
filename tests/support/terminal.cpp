#include "support/terminal.h"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <stdexcept>

#include "os/check_call.h"

namespace troupe::test {

namespace {

struct Report {
  enum class What { started, stopped, ended } what;
  int value;  // pid, signal, status
};

constexpr std::array kShellIgnores{SIGINT, SIGQUIT, SIGTSTP, SIGTTOU, SIGTTIN};

// When the terminal is closed only the shell hears of it, and tells its job.
volatile pid_t job_of_shell = 0;
void pass_on(int number) {
  ::kill(-job_of_shell, number);
  ::kill(-job_of_shell, SIGCONT);
}

std::function<int()> run_command(const std::vector<std::string>& words) {
  return [words] {
    std::vector<char*> arguments;
    for (const auto& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    ::execv(arguments[0], arguments.data());
    return 127;
  };
}

}  // namespace

Terminal::Terminal(const std::vector<std::string>& words) : Terminal(run_command(words)) {}

Terminal::Terminal(const std::function<int()>& body) {
  std::array<int, 2> orders{}, reports{};
  os::check_call(::pipe2(orders.data(), O_CLOEXEC), "pipe2");
  os::check_call(::pipe2(reports.data(), O_CLOEXEC), "pipe2");
  orders_ = os::Descriptor(orders[1]);
  reports_ = os::Descriptor(reports[0]);
  const os::Descriptor their_orders(orders[0]), their_reports(reports[1]);
  int master = -1;
  shell_ = os::check_call(::forkpty(&master, nullptr, nullptr, nullptr), "forkpty");
  if (shell_ == 0) {
    orders_.reset();
    reports_.reset();
    be_shell(body, their_orders.get(), their_reports.get());
  }
  master_ = os::Descriptor(master);
  ::fcntl(master, F_SETFD, FD_CLOEXEC);
  while (job_ < 0) wait_for_something();
}

Terminal::~Terminal() {
  orders_.reset();
  ::waitpid(shell_, nullptr, 0);
}

// The leader of the session. It ends when the test does, and takes the job along.
void Terminal::be_shell(const std::function<int()>& body, int orders, int reports) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::alarm(120);
  for (const int number : kShellIgnores) ::signal(number, SIG_IGN);
  const pid_t job = ::fork();
  if (job == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::setpgid(0, 0);
    ::tcsetpgrp(STDIN_FILENO, ::getpid());
    for (const int number : kShellIgnores) ::signal(number, SIG_DFL);
    ::setenv("NO_COLOR", "1", 1);
    ::close(orders);
    ::close(reports);
    ::_exit(body());
  }
  ::setpgid(job, job);
  job_of_shell = job;
  ::signal(SIGHUP, pass_on);
  const auto report = [reports](Report::What what, int value) {
    const Report news{what, value};
    if (::write(reports, &news, sizeof news) < 0) ::_exit(1);
  };
  report(Report::What::started, job);
  char order = 0;
  while (true) {
    int status = 0;
    if (::waitpid(job, &status, WUNTRACED) < 0) ::_exit(1);
    ::tcsetpgrp(STDIN_FILENO, ::getpid());
    if (!WIFSTOPPED(status)) {
      report(Report::What::ended, status);
      break;
    }
    report(Report::What::stopped, WSTOPSIG(status));
    if (::read(orders, &order, 1) != 1) break;
    ::tcsetpgrp(STDIN_FILENO, job);
    ::kill(-job, SIGCONT);
  }
  while (::read(orders, &order, 1) > 0) {
  }
  ::kill(-job, SIGKILL);
  ::_exit(0);
}

// Takes what the terminal or the shell says next.
void Terminal::wait_for_something() {
  std::array<pollfd, 2> list{{{reports_.get(), POLLIN, 0}, {master_ ? master_.get() : -1, POLLIN, 0}}};
  os::check_call(os::retry_interrupted([&] { return ::poll(list.data(), list.size(), -1); }), "poll");
  if (list[1].revents & POLLIN) {  // all of what is said comes before the end
    std::array<char, 4096> buffer;
    const auto size = ::read(master_.get(), buffer.data(), buffer.size());
    if (size > 0) output_.append(buffer.data(), static_cast<std::size_t>(size));
    return;
  }
  Report report{};
  if (::read(reports_.get(), &report, sizeof report) != sizeof report) throw std::runtime_error("the shell of the terminal has ended");
  if (report.what == Report::What::started) job_ = report.value;
  if (report.what == Report::What::stopped) stopped_ = true;
  if (report.what != Report::What::ended) return;
  ended_ = true;
  status_ = report.value;
  pollfd more{master_ ? master_.get() : -1, POLLIN, 0};
  while (::poll(&more, 1, 0) == 1 && (more.revents & POLLIN)) {
    std::array<char, 4096> buffer;
    const auto size = ::read(master_.get(), buffer.data(), buffer.size());
    if (size <= 0) break;
    output_.append(buffer.data(), static_cast<std::size_t>(size));
  }
}

bool Terminal::wait_for(const std::string& text, int times) {
  while (true) {
    int seen = 0;
    for (auto at = output_.find(text); at != std::string::npos; at = output_.find(text, at + 1)) ++seen;
    if (seen >= times) return true;
    if (ended_ || stopped_) return false;
    wait_for_something();
  }
}

void Terminal::type(const std::string& keys) const {
  if (::write(master_.get(), keys.data(), keys.size()) != static_cast<ssize_t>(keys.size())) throw SystemError(errno, "write(terminal)");
}

void Terminal::signal(int number) const { ::kill(job_, number); }

void Terminal::signal_group(int number) const { ::kill(-job_, number); }

bool Terminal::wait_stopped() {
  while (!stopped_ && !ended_) wait_for_something();
  return stopped_;
}

void Terminal::foreground() {
  stopped_ = false;
  if (::write(orders_.get(), "f", 1) != 1) throw SystemError(errno, "write(shell)");
}

int Terminal::end() {
  while (!ended_) wait_for_something();
  return WIFSIGNALED(status_) ? -WTERMSIG(status_) : WEXITSTATUS(status_);
}

}  // namespace troupe::test
