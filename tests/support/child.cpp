#include "support/child.h"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <exception>

#include "os/check_call.h"

namespace troupe::test {

Child::Child(const std::function<int()>& body) : pid_(os::check_call(::fork(), "fork")) {
  if (pid_ != 0) return;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::alarm(60);
  int code = 99;
  try {
    code = body();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "child: %s\n", error.what());
  }
  ::_exit(code);
}

Child::~Child() {
  if (pid_ <= 0) return;
  kill(SIGKILL);
  wait();
}

void Child::kill(int signal) const { ::kill(pid_, signal); }

int Child::wait() {
  int status = 0;
  os::check_call(os::retry_interrupted([&] { return ::waitpid(pid_, &status, 0); }), "waitpid");
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

}  // namespace troupe::test
