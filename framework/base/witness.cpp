#include "base/witness.h"

#include <typeinfo>

namespace troupe::base {

Looker looker;
constinit thread_local std::uintptr_t LookUntilHere::until_ = ~std::uintptr_t{0};

// The runtime asks the type of each handler whether it catches what was thrown, and does so before it unwinds anything. This is the
// answer of Witness: no, after a look at the stack.
class WitnessType final : public std::type_info {
 public:
  WitnessType() : std::type_info("N6troupe4base7WitnessE") {}
  bool __do_catch(const std::type_info*, void**, unsigned) const override {  // NOLINT(bugprone-reserved-identifier): libstdc++'s name
    if (looker.look) looker.look();
    return false;
  }
};
extern const WitnessType witness_type asm("_ZTIN6troupe4base7WitnessE");
const WitnessType witness_type;

}  // namespace troupe::base
