#pragma once

#include <troupe/sync_errors.h>

#include "shared/slot.h"

namespace troupe::sync {

using troupe::BrokenBarrierError;
using troupe::NotHeld;
using troupe::ReleasedTooOften;

}  // namespace troupe::sync
