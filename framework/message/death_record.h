#pragma once

#include <troupe/death.h>

#include <cstddef>

#include "message/control.capnp.h"

namespace troupe::message {

// A Death as it travels: between nodes, from root, and to it. One form, so that everybody who waits reads the same. What is too long is
// cut off, and a record takes less than kDeathSizeMax bytes.
void write(DeathRecord::Builder to, const Death& from);
// Throws ProtocolError for what is no Death.
Death read(DeathRecord::Reader from);

inline constexpr std::size_t kDeathSizeMax = 13 * 1024;

}  // namespace troupe::message
