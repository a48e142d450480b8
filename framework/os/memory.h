#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <utility>

#include "os/descriptor.h"

namespace troupe::os {

// Memory without a name that can be shared by passing its descriptor: zeroed, of a size that nobody can change any more, and
// all of it allocated, so that a lack of memory is an error here and not a SIGBUS later. `label` shows in /proc/PID/maps.
Descriptor make_shared_memory(const char* label, std::size_t size);

// The same, but sparse: pages are allocated when they are first touched, or by allocate().
Descriptor make_sparse_memory(const char* label, std::size_t size);

// Allocates what is missing of a range, so that a lack of memory is a SystemError here and not a SIGBUS later.
void allocate(const Descriptor& memory, std::size_t offset, std::size_t size);

// Gives the pages of a range back to the kernel; they read as zeroes from then on.
void punch(const Descriptor& memory, std::size_t offset, std::size_t size);

// The size of such memory, or nothing if `memory` is anything else: then touching a mapping of it might end in a SIGBUS.
std::optional<std::size_t> shared_memory_size(const Descriptor& memory);

// Pages in this process's address space, given back by the destructor.
//
// Threads: a value.
class Mapping {
 public:
  Mapping() = default;
  // All of what make_shared_memory() or make_sparse_memory() made, or its beginning. The descriptor may be closed afterwards.
  Mapping(const Descriptor& memory, std::size_t size);
  // Zeroed pages for this process only.
  static Mapping anonymous(std::size_t size);
  // The same, shared with what is forked from now on; pages are allocated when they are first touched.
  static Mapping shared_anonymous(std::size_t size);

  Mapping(Mapping&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
  Mapping& operator=(Mapping&& other) noexcept {
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~Mapping();

  [[nodiscard]] std::span<std::byte> bytes() const { return bytes_; }

 private:
  Mapping(int flags, const Descriptor& memory, std::size_t size);

  std::span<std::byte> bytes_;
};

}  // namespace troupe::os
