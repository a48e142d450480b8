#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "shared/slot.h"

namespace troupe::test {

// What must be true of any primitive when `dead` is recovered, whoever else uses it, asleep or not; the fault, or nothing.
std::string check_structure(std::span<std::byte> memory, shared::Slot dead);

}  // namespace troupe::test
