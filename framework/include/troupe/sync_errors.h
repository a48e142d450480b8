#pragma once

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>

namespace troupe {

// A lock was to be released, waited with or notified under by one who does not hold it. Python raises RuntimeError or ValueError.
class NotHeld : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

// A BoundedSemaphore was released more often than acquired. Python raises ValueError.
class ReleasedTooOften : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

// The barrier cannot be passed any more: a party died, waited too long or gave up, or somebody reset it meanwhile.
class BrokenBarrierError : public std::runtime_error {
 public:
  explicit BrokenBarrierError(std::optional<std::uint32_t> culprit = {}, const std::string& name = {})
      : std::runtime_error(!culprit       ? "barrier broken"
                           : name.empty() ? "barrier broken by the death of a party"
                                          : "barrier broken by the death of `" + name + "`"),
        culprit_(culprit),
        name_(name) {}
  // The party that died, by its number among the users, if that is why.
  [[nodiscard]] std::optional<std::uint32_t> culprit() const { return culprit_; }
  // The name of its process; empty where that is not known.
  [[nodiscard]] const std::string& culprit_name() const { return name_; }

 private:
  std::optional<std::uint32_t> culprit_;
  std::string name_;
};

}  // namespace troupe
