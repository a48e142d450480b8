#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include <troupe/actor.h>
#include <troupe/death.h>
#include <troupe/function.h>

#include "node/tree.h"
#include "transport/link.h"

namespace troupe::node {

class Core;

// Named bounds of a node.
struct NodeOptions {
  std::size_t mailbox_max = 1024;                          // messages of an actor that waits; its senders then wait too
  std::size_t outbox_bytes_max = std::size_t{64} << 20;    // what one link may owe; sending more from one handler throws
  std::size_t inbox_bytes_max = std::size_t{1} << 20;      // what a thread that is no actor may have under way
  transport::LinkOptions link;                             // for links that we make, unless look_up() says otherwise
};

// The actors of one process: carries their messages, runs them, and tells them of deaths. It lives in a tree of processes.
//
//     node::Node node(tree);
//     node.spawn([](Context& context) { return std::make_unique<Counter>(context); });
//     tree.ready();
//     Death death = node.run();        // on this thread, until the last actor has ended or the tree wants us to stop
//
// or, in a process that has other things to do:  node.start();  and the node runs on a thread of its own.
//
// What a dead process sent before is handled first; then all that wait for it hear of its Death. A link over which nonsense comes is
// dropped, and its process counts as dead for those who wait for it now; the next message makes a new link.
//
// Threads: spawn(), stop() from any; the rest from the one that made it.
class Node {
 public:
  explicit Node(Tree& tree, const NodeOptions& options = {});
  ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  // Constructs an actor, which was restarted so often; on the node's thread while it runs. Throws what the constructor throws.
  Address spawn(Function<std::unique_ptr<Actor>(Context&)> make, std::uint32_t restarts = 0);
  // Runs the actors here until all have ended. The Death of the first that ended badly, else of the last.
  Death run();
  // Runs them on a new thread instead, until stop(); actors may come and go.
  void start();
  // Ends all actors in order, newest first, each when the one before it has ended. A node that was start()ed is joined.
  void stop();
  // Ends all actors at once, and the node with them; what is sent to it from then on is for nobody. So does the destructor.
  void end();

  // Makes this node the one that send(), ask() and spawn() of the calling thread use, for as long as the scope lives. Without it
  // they use the process's.
  class Scope {
   public:
    explicit Scope(Node& node);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    Core* before_;
  };

  // Messages to the dead, or to actors that do not know them, so far. Any thread.
  [[nodiscard]] std::uint64_t dead_letters() const;

  [[nodiscard]] Core& core() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// The node of this process is made when it is first needed, by `make` (which may start() it), and lives until the process ends.
// A fork of the process has it made anew.
void set_process_node(Function<Node&()> make);

// For actors that keep others alive, on their node's thread. Stops one in order, or ends it as soon as what runs of it has returned,
// with this Death if it is given.
void stop_actor(const Address& actor, const std::optional<Death>& death = {});
void end_actor(const Address& actor, const std::optional<Death>& death = {});
// Makes an actor in this node, which was restarted so often; throws what its constructor throws. Gives a name to an actor of it; nobody, and the name waits again.
Address spawn_here(Function<std::unique_ptr<Actor>(Context&)> make, std::uint32_t restarts);
void register_name(const std::string& name, const Address& actor);
// When the process is to stop, this actor is asked before all others.
void keep_by(const Address& actor);
// The whole node, as if the process were to stop.
void stop_all_here();

// The calling thread is one that runs actors.
[[nodiscard]] bool in_node();

}  // namespace troupe::node
