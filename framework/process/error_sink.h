#pragma once

#include <cstddef>
#include <span>

#include "os/descriptor.h"

namespace troupe::process {

// Root's standard error, written to without ever waiting for it: a terminal that was stopped, a pipe that nobody reads, a full disk.
//
// Threads: one.
class ErrorSink {
 public:
  ErrorSink();
  // False if it can only be written to by waiting.
  [[nodiscard]] bool usable() const { return kind_ != Kind::none; }
  // How much was taken; if less than all, the rest may be when descriptor() is writable. What is refused for good is taken as well.
  std::size_t write(std::span<const char> text) const;
  [[nodiscard]] int descriptor() const;

 private:
  enum class Kind { none, file, socket, reopened };
  Kind kind_ = Kind::none;
  os::Descriptor reopened_;  // not the description that others share, so that it does not wait though theirs does
};

}  // namespace troupe::process
