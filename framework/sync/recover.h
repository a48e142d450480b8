#pragma once

#include <span>
#include <string_view>

#include "sync/guarded.h"

namespace troupe::sync {

// For root, once the process at `slot` is gone: puts in order what it left in `memory`, whatever primitive that is, and wakes whoever
// may have lost a wake-up. Never waits, and may be repeated. Throws ProtocolError if somebody overwrote the memory. `name` is that of
// the process, for those who ask whose death broke a barrier.
void recover(std::span<std::byte> memory, Slot slot, End end = End::died, std::string_view name = {});

// The slot may be given to another process. Until then, a living user is still in the way: it finishes the recovery itself.
[[nodiscard]] bool recovered(std::span<std::byte> memory, Slot slot);

}  // namespace troupe::sync
