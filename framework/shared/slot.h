#pragma once

#include <cstdint>

namespace troupe::shared {

// One process among those that use a thing in shared memory. Root gives slots out, and gives one out again only when the thing is
// recovered from its last owner.
using Slot = std::uint32_t;

inline constexpr Slot kSlotsMax = 0xFFF0;
inline constexpr Slot kRootSlot = 0xFFFE;  // root itself, while it repairs

}  // namespace troupe::shared
