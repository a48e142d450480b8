#pragma once

#include <cstdint>

#include "shared/kept_lock.h"

namespace troupe::queue {

// Who holds a lease or a block: 0 nobody, slot + 1 a user, kRootOwner root while it puts a dead user's affairs in order.
using Owner = std::uint32_t;
inline constexpr Owner kRootOwner = shared::kRootSlot + 1;

using shared::Held;

}  // namespace troupe::queue
