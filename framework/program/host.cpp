#include "program/host.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <stdexcept>

#include "process/client.h"
#include "program/node_tree.h"

namespace troupe::program {

namespace {

process::Client& client() {
  if (auto* here = process::Client::here()) return *here;
  throw std::logic_error("actors need a troupe::Program: make it the first line of main");
}

// Why this process ends badly, to root; and to people, unless whoever started it tells them.
int failed(const std::string& why, const HostOptions& options, const Death& seen = {}) {
  if (options.print_failure) fmt::print(stderr, "{}: {}\n", client().name(), why);
  client().last_words(why, seen);
  return 1;
}

struct Running {
  NodeTree tree{client(), OnStop::end};
  node::Node node{tree};
};

// Never destroyed: threads may send until the process has ended. A fork of this process leaves its parent's alone.
Running* running = nullptr;
pid_t running_in = 0;

}  // namespace

int host_actor(Function<std::unique_ptr<Actor>(Context&)> make, const HostOptions& options) {
  NodeTree tree(client(), OnStop::tell);
  node::Node node(tree, options.node);
  node::set_process_node([&node]() -> node::Node& { return node; });
  try {
    const Address actor = node.spawn(std::move(make), client().restarts());
    if (!options.name.empty()) tree.register_name(options.name, actor);
  } catch (const std::exception& error) {
    return failed(fmt::format("the actor could not be made: {}", error.what()), options);
  }
  tree.ready();
  const Death death = node.run();
  if (death.normal()) return 0;
  return failed(death.cause == Death::Cause::cascade ? death.detail : fmt::format("an actor {}", death.describe()), options, death);
}

node::Node& process_node() {
  if (!running || running_in != ::getpid()) {
    running = new Running;
    running_in = ::getpid();
    running->node.start();
    std::atexit(end_process_node);
  }
  return running->node;
}

void end_process_node() {
  if (!running || running_in != ::getpid() || node::in_node()) return;
  running->node.end();
}

}  // namespace troupe::program
