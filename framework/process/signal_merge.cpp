#include "process/signal_merge.h"

#include <utility>

namespace troupe::process {

void SignalMerge::add(int signal, From from, Clock::time_point now) {
  if (from == From::terminal) return merged_({signal, true});
  Seen& seen = seen_.at(static_cast<std::size_t>(signal));
  const bool open = seen.guard || seen.others;
  (from == From::guard ? seen.guard : seen.others) = true;
  if (open) return;
  ++open_;
  timers_.at(now + kWindow, [this, signal] {
    --open_;
    const Seen all = std::exchange(seen_.at(static_cast<std::size_t>(signal)), {});
    merged_({signal, all.guard && all.others});
  });
}

}  // namespace troupe::process
