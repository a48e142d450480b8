#include "supervisor/spec.h"

#include <algorithm>
#include <cmath>

namespace troupe::supervisor {

Duration backoff_delay(const Backoff& backoff, unsigned failures, double random) {
  if (failures < 2 || backoff.min <= Duration::zero()) return Duration::zero();
  const double grown = static_cast<double>(backoff.min.count()) * std::pow(backoff.factor, failures - 2);
  const double capped = std::min(grown, static_cast<double>(backoff.max.count()));
  return Duration(static_cast<Duration::rep>(capped * (1 + backoff.jitter * (2 * random - 1))));
}

const char* spec_problem(const ChildSpec& child, AutoShutdown auto_shutdown) {
  if (child.id.empty()) return "a child needs an id";
  if (!child.significant) return nullptr;
  if (child.restart == Restart::permanent) return "a permanent child cannot be significant: it never ends";
  if (auto_shutdown == AutoShutdown::never) return "a significant child needs a supervisor with auto_shutdown";
  return nullptr;
}

}  // namespace troupe::supervisor
