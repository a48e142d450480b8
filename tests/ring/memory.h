#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <span>

#include "ring/ring.h"

namespace troupe::test {

// An empty ring of `capacity` bytes in this process's memory, exactly as large as it needs, so that ASan sees what lies beyond.
class RingMemory {
 public:
  explicit RingMemory(std::size_t capacity)
      : size_(ring::ring_memory_size(capacity)),
        bytes_(static_cast<std::byte*>(::operator new (size_, std::align_val_t{ring::kLine}))) {
    ring::format_ring(bytes());
  }
  ~RingMemory() { ::operator delete (bytes_, std::align_val_t{ring::kLine}); }
  RingMemory(const RingMemory&) = delete;
  RingMemory& operator=(const RingMemory&) = delete;

  [[nodiscard]] std::span<std::byte> bytes() const { return {bytes_, size_}; }
  [[nodiscard]] ring::RingHeader& header() const { return *reinterpret_cast<ring::RingHeader*>(bytes_); }
  // Eight bytes of the frames' place.
  [[nodiscard]] std::uint64_t& word(std::size_t offset) const {
    return *reinterpret_cast<std::uint64_t*>(bytes_ + sizeof(ring::RingHeader) + offset);
  }

 private:
  std::size_t size_;
  std::byte* bytes_;
};

}  // namespace troupe::test
