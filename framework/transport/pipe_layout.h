#pragma once

#include <cstddef>
#include <cstdint>

namespace troupe::transport {

// What stands before each frame in a pipe:
//
//      | size: 32 bits | descriptors: 16 bits | magic: 16 bits | size bytes | up to 7 zeros, so that the next is aligned |
//
// So many descriptors travel with the first byte of the header.
struct PipeFrameHeader {
  std::uint32_t size;
  std::uint16_t descriptors;
  std::uint16_t magic;
};

inline constexpr std::uint16_t kPipeFrameMagic = 0x7001;
inline constexpr std::size_t kPipeFrameSizeMax = 0xffff'fff0;

static_assert(sizeof(PipeFrameHeader) == 8 && offsetof(PipeFrameHeader, descriptors) == 4 &&
              offsetof(PipeFrameHeader, magic) == 6);

constexpr std::size_t padded(std::size_t size) { return (size + 7) & ~std::size_t{7}; }

}  // namespace troupe::transport
