#pragma once

#include <cstddef>
#include <memory>
#include <span>

namespace troupe::transport {

// Bytes that come in at the end and go out at the beginning. What is inside moves only in reserve(), and stays aligned to 8 if
// only multiples of 8 go out.
//
// Threads: confined to one thread at a time.
class Buffer {
 public:
  [[nodiscard]] std::span<std::byte> filled() const { return {bytes_.get() + begin_, end_ - begin_}; }

  // All the space at the end, at least `size` bytes, not zeroed.
  std::span<std::byte> reserve(std::size_t size);
  // The first `size` bytes of that space hold something now.
  void append(std::size_t size) { end_ += size; }
  void consume(std::size_t size) { begin_ += size; }

 private:
  void move_to(std::size_t room);

  std::unique_ptr<std::byte[]> bytes_;
  std::size_t room_ = 0;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

}  // namespace troupe::transport
