#pragma once

#include <stdexcept>
#include <string>
#include <system_error>

#include <troupe/death.h>

namespace troupe {

// What the kernel refused: which call, on what, and errno (code()). Messages read "open /x: No such file or directory".
class SystemError : public std::system_error {
 public:
  // `error` is an errno value; `what` names the call and its object.
  SystemError(int error, const std::string& what) : std::system_error(error, std::generic_category(), what) {}
};

// A topology, option or argument that cannot be used; the message says what, where, and what to do.
class ConfigError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// A peer sent what the protocol does not allow. The link it came by is not to be used again.
class ProtocolError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// A time-out passed. Named after Python's TimeoutError.
class TimeoutError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// The actor that was asked, monitored or named is dead, and why.
class ActorDown : public std::runtime_error {
 public:
  explicit ActorDown(Death death) : std::runtime_error("actor is down: " + death.describe()), death_(std::move(death)) {}
  [[nodiscard]] const Death& death() const { return death_; }

 private:
  Death death_;
};

}  // namespace troupe
