#pragma once

#include <cstddef>
#include <cstring>

namespace troupe::shared {

// memcpy() for what is mostly small: a call and a look at the CPU's widest registers cost more than the copying.
[[gnu::always_inline]] inline void copy_small(std::byte* to, const std::byte* from, std::size_t size) {
  constexpr std::size_t kChunk = 16;
  if (size < kChunk || size > 8 * kChunk) {
    if (size != 0) std::memcpy(to, from, size);
    return;
  }
  for (std::size_t at = 0; at + kChunk < size; at += kChunk) __builtin_memcpy(to + at, from + at, kChunk);
  __builtin_memcpy(to + size - kChunk, from + size - kChunk, kChunk);
}

}  // namespace troupe::shared
