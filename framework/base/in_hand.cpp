#include "base/in_hand.h"

namespace troupe::base {

std::atomic<const char*> in_hand = nullptr;

}  // namespace troupe::base
