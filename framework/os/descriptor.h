#pragma once

#include <string>
#include <utility>

namespace troupe::os {

// Owns a file descriptor and closes it.
//
// Threads: a value; not to be shared without a lock.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() { reset(); }

  [[nodiscard]] int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  [[nodiscard]] int release() { return std::exchange(fd_, -1); }
  void reset();

  // What the kernel calls it, for messages: "memfd:troupe:queue", "socket:[1234]". Leaves errno as it is.
  [[nodiscard]] std::string name() const;

  // Another descriptor for the same thing, closed on exec.
  [[nodiscard]] Descriptor duplicate() const;

 private:
  int fd_ = -1;
};

}  // namespace troupe::os
