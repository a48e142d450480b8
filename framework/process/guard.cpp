#include "process/guard.h"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <exception>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "os/check_call.h"
#include "os/control_group.h"
#include "os/pidfd.h"
#include "os/signals.h"
#include "process/birth.h"
#include "process/ending.h"
#include "process/root_loop.h"

namespace troupe::process {

namespace {

// Takes what has ended from the kernel's table: root, and orphans that become ours where we are the first process of a container.
// How root ended, if it has.
std::optional<os::Exit> reap_all(pid_t root, std::vector<pid_t>& strangers) {
  siginfo_t info{};
  while (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG) == 0 && info.si_pid != 0) {
    std::erase(strangers, info.si_pid);
    if (info.si_pid == root) return os::Exit{info.si_code != CLD_EXITED, info.si_status};
    info.si_pid = 0;
  }
  return std::nullopt;
}

// Waits for root and hands on the signals that are meant for the user's program; the terminal's reach it without us.
Ending wait_for_root(pid_t root, std::vector<pid_t>& strangers) {
  auto signals = forwarded_signals();
  sigaddset(&signals, SIGCHLD);
  while (true) {
    if (const auto exit = reap_all(root, strangers)) return exit->signalled ? Ending{1, exit->code} : Ending{exit->code, 0};
    siginfo_t info;
    const int signal = ::sigwaitinfo(&signals, &info);
    if (signal <= 0 || signal == SIGCHLD) continue;
    // Of a terminal that closes only the leader of its session hears.
    const bool ours_alone = signal == SIGHUP && ::getsid(0) == ::getpid();
    if (info.si_code == SI_KERNEL && !ours_alone) continue;
    if (::sigqueue(root, forward_signal(), {.sival_int = signal}) != 0) ::kill(root, signal);  // its user has too many queued
  }
}

// In root: serves until the end of the tree, and ends as it did.
[[noreturn]] void be_root(RootLoop& root) {
  try {
    end_as(root.run());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "troupe: root failed: %s\n", error.what());
    end_all_children();
    end_as({1, 0});
  }
}

struct Fork {
  pid_t root;           // 0: this is it
  pid_t guard_pid;
  os::Descriptor guard;  // of guard, for root
  std::vector<pid_t> strangers;  // children of whoever became guard by exec: not ours to end
};

// Forks root off; both are subreapers, so that nothing that ever runs below them escapes.
Fork fork_root(const Origin& origin) {
  flush_streams();
  const pid_t guard_pid = ::getpid();
  os::Descriptor guard = os::open_pidfd(guard_pid);
  auto blocked = forwarded_signals();
  sigaddset(&blocked, SIGCHLD);
  sigaddset(&blocked, forward_signal());
  sigaddset(&blocked, SIGPIPE);  // whoever reads our messages may go
  os::block_signals(blocked);
  os::set_default_action(SIGCHLD);  // ignored, as some parents leave it to us, the kernel would reap before we can
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  auto strangers = os::children_of(guard_pid);
  const pid_t root = ::fork();
  if (root < 0) {
    const int error = errno;
    os::set_blocked_signals(origin.blocked);
    throw SystemError(error, "fork");
  }
  // Root finds out by itself that guard is dead, but must be awake for it.
  if (root == 0) die_with_parent(guard_pid, SIGCONT);
  return {root, guard_pid, std::move(guard), std::move(strangers)};
}

// For good: the processes that root forks have it in their memory too, and none may run its destructor.
RootLoop& make_root(const Origin& origin, const os::Descriptor& guard) {
  static auto& roots = *new std::vector<std::unique_ptr<RootLoop>>;
  return *roots.emplace_back(std::make_unique<RootLoop>(origin, guard));
}

Ending be_guard(Fork fork) {
  const Ending ending = wait_for_root(fork.root, fork.strangers);
  end_all_children(std::move(fork.strangers));
  os::leave_memory_groups(fork.root, ending.signal != 0);
  return ending;
}

}  // namespace

sigset_t forwarded_signals() { return os::signal_set({SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2}); }

int forward_signal() { return SIGRTMAX - 1; }

std::unique_ptr<Client> fork_tree(const Origin& origin, const std::function<void(Root&)>& configure) {
  Fork fork = fork_root(origin);
  if (fork.root != 0) end_as(be_guard(std::move(fork)));
  try {
    RootLoop& root = make_root(origin, fork.guard);
    std::unique_ptr<Client> main;
    if (root.fork_main(main)) return main;
    if (configure) configure(root);
    be_root(root);
  } catch (const std::exception& error) {  // not for the user's code, which has no business in root
    std::fprintf(stderr, "troupe: the tree could not be started: %s\n", error.what());
    end_as({1, 0});
  }
}

int run_root(const Origin& origin, const std::function<void(Root&)>& configure) {
  Fork fork = fork_root(origin);
  if (fork.root != 0) {
    const Ending ending = be_guard(std::move(fork));
    if (ending.signal != 0) end_as(ending);
    return ending.code;
  }
  RootLoop& root = make_root(origin, fork.guard);
  try {
    configure(root);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "troupe: %s\n", error.what());
    root.end(1, 0);
  }
  be_root(root);
}

}  // namespace troupe::process
