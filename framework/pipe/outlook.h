#pragma once

#include <cstddef>
#include <span>

#include "ring/ring_layout.h"

namespace troupe::pipe {

// What whoever receives next will find in a ring. Each is said of one moment, by who has no lock; what another process has broken is a
// frame, for to receive it tells.
enum class Outlook {
  nothing,
  frame,  // a whole one, perhaps behind pieces that will be skipped
  part,   // only pieces of frames: that are being sent, or were by the dead, or whose first ones have been received
};
[[nodiscard]] Outlook look_ahead(const ring::RingHeader& header, std::span<const std::byte> frames);

}  // namespace troupe::pipe
