#pragma once

#include <csignal>
#include <functional>
#include <memory>

#include "process/client.h"
#include "process/origin.h"
#include "process/root.h"

namespace troupe::process {

// Signals that guard hands on to root, and root to main.
sigset_t forwarded_signals();
// As which signal guard hands them on: queued, with their number as value.
int forward_signal();

// Makes this process the guard of a tree: forks root, which forks main. Returns in main only, with its connection; guard and root
// stay behind and end as main does.
//
// What holds: when root is killed, guard ends whatever is left; when guard is killed, root does.
// `configure` runs in root, before its loop.
std::unique_ptr<Client> fork_tree(const Origin& origin, const std::function<void(Root&)>& configure = {});

// A tree without main: `configure` runs in root, before its loop. Returns in guard when all is over, with the exit code that
// Root::end() was given; or dies of the signal given there.
int run_root(const Origin& origin, const std::function<void(Root&)>& configure);

}  // namespace troupe::process
