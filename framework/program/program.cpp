#include <troupe/program.h>

#include <exception>
#include <stdexcept>
#include <string>

#include "os/fence.h"
#include "os/proc.h"
#include "process/client.h"
#include "process/execute.h"
#include "process/guard.h"
#include "program/host.h"
#include "program/shared_thing.h"
#include "supervisor/service.h"

namespace troupe {

struct Program::State {
  std::unique_ptr<process::Client> client;
};

Program::Program(int, char**) : exceptions_(std::uncaught_exceptions()) {
  if (process::Client::here()) throw std::logic_error("there is a troupe::Program already; a program has one, in main");
  if (const int threads = os::thread_count(); threads > 1) {
    throw std::logic_error("troupe::Program must be the first line of main: it forks, and " + std::to_string(threads) +
                           " threads run already");
  }
  static_cast<void>(os::join_heavy_fences());  // cheap only before there are threads; whoever opens a queue looks at what came of it
  // Lives as long as the processes that are copied from here.
  static const process::Origin origin;
  node::set_process_node(program::process_node);
  program::keep_handles_of_messages();
  state_ = std::make_unique<State>();
  state_->client = process::join_tree(origin);
  if (!state_->client) state_->client = process::fork_tree(origin, [](process::Root& root) { root.serve(*new supervisor::Supervision(root)); });
}

Program::~Program() {
  if (std::uncaught_exceptions() > exceptions_) {  // root ends what is left; the node's thread may use the client until then
    static_cast<void>(state_->client.release());
    return;
  }
  try {
    state_->client->end_children();
  } catch (const std::exception&) {
    // A fork made by the user leaves main: it has no children here.
  }
  program::end_process_node();
}

}  // namespace troupe
