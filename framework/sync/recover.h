#pragma once

#include <functional>
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

// Throws ProtocolError where a lock seems to be held by somebody who is no user: nobody would ever unlock it.
void check_locks(std::span<std::byte> memory, const std::function<bool(Slot)>& is_user);

// The memory was overwritten, maybe all of it: from now on all who use its lock, or sleep there, get a ProtocolError. An Event and raw
// elements have none: there, any bytes may be what somebody wrote.
void break_for_good(std::span<std::byte> memory);

// Whoever waits at a condition looks whether its lock, which may be another's, is broken.
void wake_all(std::span<std::byte> memory);

}  // namespace troupe::sync
