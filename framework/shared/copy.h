#pragma once

#include <cstddef>
#include <cstring>

namespace troupe::shared {

namespace detail {
template <std::size_t kSize>
[[gnu::always_inline]] inline void copy_both_ends(std::byte* to, const std::byte* from, std::size_t size) {
  __builtin_memcpy(to, from, kSize);
  __builtin_memcpy(to + size - kSize, from + size - kSize, kSize);
}
}  // namespace detail

// memcpy() without a call, for sizes that are mostly small: a call, and its look at the CPU's widest registers, cost more than the copying.
[[gnu::always_inline]] inline void copy_inline(std::byte* to, const std::byte* from, std::size_t size) {
  if (size >= 32) [[likely]] {
    for (std::size_t at = 0; at + 32 < size; at += 32) __builtin_memcpy(to + at, from + at, 32);
    __builtin_memcpy(to + size - 32, from + size - 32, 32);
  } else if (size >= 16) {
    detail::copy_both_ends<16>(to, from, size);
  } else if (size >= 8) {
    detail::copy_both_ends<8>(to, from, size);
  } else if (size >= 4) {
    detail::copy_both_ends<4>(to, from, size);
  } else if (size > 0) {
    to[0] = from[0], to[size / 2] = from[size / 2], to[size - 1] = from[size - 1];
  }
}

[[gnu::always_inline]] inline void copy_small(std::byte* to, const std::byte* from, std::size_t size) {
  if (size <= 128) [[likely]]
    return copy_inline(to, from, size);
  std::memcpy(to, from, size);
}

}  // namespace troupe::shared
