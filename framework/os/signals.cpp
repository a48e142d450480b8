#include "os/signals.h"

#include <pthread.h>
#include <unistd.h>

#include <array>

#include "os/check_call.h"

namespace troupe::os {

sigset_t signal_set(std::initializer_list<int> signals) {
  sigset_t set;
  sigemptyset(&set);
  for (int signal : signals) sigaddset(&set, signal);
  return set;
}

sigset_t block_signals(const sigset_t& more) {
  sigset_t before;
  pthread_sigmask(SIG_BLOCK, &more, &before);
  return before;
}

void set_blocked_signals(const sigset_t& signals) { pthread_sigmask(SIG_SETMASK, &signals, nullptr); }

void set_default_action(int signal) {
  struct sigaction action {};
  action.sa_handler = SIG_DFL;
  ::sigaction(signal, &action, nullptr);
}

void ignore_signal(int signal) {
  struct sigaction action {};
  action.sa_handler = SIG_IGN;
  ::sigaction(signal, &action, nullptr);
}

SignalReader::SignalReader(const sigset_t& signals)
    : descriptor_(check_call(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK), "signalfd")) {}

std::optional<signalfd_siginfo> SignalReader::read() {
  signalfd_siginfo info;
  const auto size = retry_interrupted([&] { return ::read(descriptor_.get(), &info, sizeof info); });
  if (size < 0 && errno == EAGAIN) return std::nullopt;
  check_call(size, "read(signalfd)");
  return info;
}

void SignalReader::discard() {
  std::array<signalfd_siginfo, 16> infos;
  const auto size = retry_interrupted([&] { return ::read(descriptor_.get(), infos.data(), sizeof infos); });
  if (size == sizeof infos) discard();
}

}  // namespace troupe::os
