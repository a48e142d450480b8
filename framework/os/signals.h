#pragma once

#include <sys/signalfd.h>

#include <csignal>
#include <initializer_list>
#include <optional>

#include "os/descriptor.h"

namespace troupe::os {

// A set of signals.
sigset_t signal_set(std::initializer_list<int> signals);
// Adds `more` to what this thread blocks; what it blocked before.
sigset_t block_signals(const sigset_t& more);
void set_blocked_signals(const sigset_t& signals);

// Makes `signal` do what it does in a fresh process, or nothing at all.
void set_default_action(int signal);
void ignore_signal(int signal);

// Signals read from a descriptor instead of handled at any moment; they must be blocked.
class SignalReader {
 public:
  explicit SignalReader(const sigset_t& signals);
  [[nodiscard]] int descriptor() const { return descriptor_.get(); }
  std::optional<signalfd_siginfo> read();
  // Takes all that are there, without looking at them.
  void discard();

 private:
  Descriptor descriptor_;
};

}  // namespace troupe::os
