#pragma once

#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

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

// Why there is no answer: an ActorDown, a TimeoutError or a RequestFailed. what() says what was asked, and of whom.
//
//     [this](const troupe::Error& why) {
//       if (why.death()) …           // the actor asked is dead, and this is what it died of
//       else if (why.timed_out()) …
//       else …                       // it lives, and refused
//     }
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
  // Of the actor that was asked; null if that is not why.
  [[nodiscard]] const Death* death() const { return death_.get(); }
  [[nodiscard]] virtual bool timed_out() const { return false; }

 protected:
  Error(const std::string& what, Death death)
      : std::runtime_error(what), death_(std::make_shared<const Death>(std::move(death))) {}

 private:
  std::shared_ptr<const Death> death_;  // shared, so that copies of an exception do not throw
};

// A time-out passed. Named after Python's TimeoutError.
class TimeoutError : public Error {
 public:
  using Error::Error;
  [[nodiscard]] bool timed_out() const override { return true; }
};

// The actor that was asked, monitored or named is dead, and why.
class ActorDown : public Error {
 public:
  explicit ActorDown(Death death) : ActorDown("actor is down", std::move(death)) {}
  // `what` comes before the cause: "no answer to Get from actor 5.0.1".
  ActorDown(const std::string& what, const Death& death) : Error(what + ": " + death.describe(), death) {}
  [[nodiscard]] const Death& death() const { return *Error::death(); }
};

// The actor that was asked lives but gave no answer: it does not know the request, refused it, or dropped its Responder.
class RequestFailed : public Error {
 public:
  using Error::Error;
};

}  // namespace troupe
