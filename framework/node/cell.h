#pragma once

#include <troupe/actor.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "node/letter.h"
#include "node/questions.h"
#include "node/scheduler.h"

namespace troupe::node {
class Core;
}

namespace troupe::detail {

// The place of one actor in its node: the user's object, its mailbox for when it cannot be run at once, and who is to hear of it.
//
// It waits, and is not run, while something that it sent has no room: in a link, or in the full mailbox of a receiver. With its own
// mailbox full it does not wait for other mailboxes, or two actors that flood each other would wait for ever.
//
// Threads: the node's.
class Cell {
 public:
  Cell(node::Core& core, Address address, std::uint64_t birth);
  ~Cell();
  Cell(const Cell&) = delete;

  void construct(Function<std::unique_ptr<Actor>(Context&)>& make) { actor = make(*std::make_unique<Context>(*this)); }

  // Nothing keeps it from being run here and now.
  [[nodiscard]] bool free() const { return waits_for_links == 0 && waits_for_mailboxes == 0 && mailbox.empty(); }
  // It may be given what is in its mailbox.
  [[nodiscard]] bool runnable() const { return waits_for_links == 0 && (waits_for_mailboxes == 0 || overfull); }

  // For the shell; false when the actor is to end.
  bool execute();          // what Core::run() prepared
  bool execute_mailbox();  // some of its mailbox
  void ended();            // it is over

  // Calls the handler for a message.
  void handle(const message::FrameHeader& header, std::uint64_t process, const Body& body);
  [[nodiscard]] Handlers& handlers() { return actor->handlers_; }

  // Who is to be told when it ends.
  struct Watcher {
    std::uint64_t process;
    std::uint64_t correlation;
  };

  node::Core& core;
  const Address self;
  const std::uint64_t birth;  // in the order of their making
  std::unique_ptr<Actor> actor;
  node::Scheduler::Shell* shell = nullptr;
  std::deque<node::Letter> mailbox;
  std::size_t waits_for_links = 0;
  std::size_t waits_for_mailboxes = 0;
  bool overfull = false;   // the mailbox reached its bound and has not come down yet
  bool scheduled = false;  // execute_mailbox() will come
  bool on_stop_wanted = false;
  bool over_budget = false;  // not told yet
  bool stop_wanted = false;
  bool gone = false;
  std::optional<Death> death;
  std::optional<Death> why_stopped;  // its death, if it ends in order
  const Incoming* incoming = nullptr;
  const char* in_hand = nullptr;  // the type of what is handled; of an exception, of what was
  std::uint32_t restarts = 0;     // by its supervisor, before this life
  std::uint32_t questions = node::Question::kNone;
  std::vector<Watcher> watchers;
  std::vector<std::uint64_t> paused_processes;

 private:
  template <class F>
  bool guarded(F&& run);
  void open(node::Letter& letter);
};

}  // namespace troupe::detail
