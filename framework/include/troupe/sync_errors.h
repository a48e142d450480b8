#pragma once

#include <cstdint>
#include <optional>
#include <stdexcept>

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
  explicit BrokenBarrierError(std::optional<std::uint32_t> culprit)
      : std::runtime_error(culprit ? "barrier broken by the death of a party" : "barrier broken"), culprit_(culprit) {}
  // The party that died, by its number among the users, if that is why.
  [[nodiscard]] std::optional<std::uint32_t> culprit() const { return culprit_; }

 private:
  std::optional<std::uint32_t> culprit_;
};

}  // namespace troupe
