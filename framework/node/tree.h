#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <troupe/address.h>
#include <troupe/death.h>

#include "os/descriptor.h"
#include "transport/link.h"

namespace troupe::node {

// What a node hears from the tree of processes; called on the node's thread, from within Tree::pump().
class TreeEvents {
 public:
  virtual ~TreeEvents() = default;
  // Another process made a link to us: its number, and the descriptors for transport::join_link().
  virtual void offered(std::uint64_t process, const transport::LinkOptions& options, std::vector<os::Descriptor> ends) = 0;
  // A process that we have a link with, or tried to connect() to, is gone. What it sent before is still in the link: drain first.
  virtual void down(std::uint64_t process, const Death& death) = 0;
  // The answer to look_up(): the address, or why there is none.
  virtual void found(std::uint64_t question, const Address& address, const transport::LinkOptions& options) = 0;
  virtual void not_found(std::uint64_t question, const Death& why) = 0;
  // This process has more memory than it should.
  virtual void over_budget() = 0;
  // Our supervisor wants us to end in order.
  virtual void stop_requested() = 0;
};

// Hears from the node's thread that it is at work, that it gets on, and that it sleeps: what a watchdog has to know.
class Watch {
 public:
  virtual ~Watch() = default;
  virtual void awake() = 0;
  virtual void beat() = 0;
  virtual void asleep() = 0;
};

// What a node asks of the tree of processes that it lives in. `program` answers it with root's client; tests with a pair of sockets.
//
// Threads: as each method says.
class Tree {
 public:
  virtual ~Tree() = default;
  // The number of this process, unique in the tree for ever. Any thread.
  [[nodiscard]] virtual std::uint64_t self() const = 0;
  // Hands the other end of a new link to `process`; TreeEvents::down() follows at once if there is no such process. Node's thread.
  virtual void connect(std::uint64_t process, const transport::LinkOptions& options, std::vector<os::Descriptor> ends) = 0;
  // Gives an actor of this process a name that the whole tree can look up, as long as this process lives. Any thread.
  virtual void register_name(const std::string& name, const Address& address) = 0;
  // Asks who is called `name`; found() or not_found() follows with `question`. A name that is declared in the topology but not
  // there yet is waited for. Node's thread.
  virtual void look_up(std::uint64_t question, const std::string& name) = 0;
  // What these handles stand for is kept for `process` until it has read them from a message that is about to be sent. Any thread.
  virtual void give(std::uint64_t process, const std::vector<std::uint64_t>& handles) { (void)process, (void)handles; }
  // The message was not sent after all. Any thread.
  virtual void take_back(std::uint64_t process, const std::vector<std::uint64_t>& handles) { (void)process, (void)handles; }
  // This process has started well: its supervisor may go on. Any thread.
  virtual void ready() = 0;
  // Readable when pump() has something to do.
  [[nodiscard]] virtual int descriptor() const = 0;
  // Null where nobody watches.
  [[nodiscard]] virtual Watch* watch() { return nullptr; }
  virtual void pump(TreeEvents& events) = 0;
};

}  // namespace troupe::node
