#pragma once

#include <troupe/actor.h>
#include <troupe/function.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_map>

#include "node/letter.h"
#include "node/questions.h"

namespace troupe::detail {

// A thread that is no actor, waiting for an answer.
class Waiter {
 public:
  explicit Waiter(node::Asking asking, const Address& asked = {}) : asking_(std::move(asking)), asked_(asked) {}
  // Once; from the node's thread, or when there is no node any more.
  void settle(const Outcome& outcome);
  Outcome wait(Duration timeout);
  [[nodiscard]] std::string unanswered() const { return asking_.unanswered(asked_); }

 private:
  const node::Asking asking_;
  const Address asked_;
  std::mutex mutex_;
  std::condition_variable settled_;
  std::unique_ptr<node::Letter> reply_;
  std::exception_ptr error_;
  Address found_;
  bool done_ = false;
};

}  // namespace troupe::detail

namespace troupe::node {

class Core;

// What those get who want something of a node that is no more.
extern const Death kNodeEnded;

// Where threads that are no actors leave what they have for the node. Each has a queue of its own, so that one whose receiver is slow
// waits alone.
//
// Threads: any; take() is the node's.
class Outside {
 public:
  explicit Outside(Core& core) : core_(core) {}

  // Sends a frame; waits while this thread has too much under way. False if `when_full` says tell and it does, or the receiver is full.
  bool send(std::uint64_t process, const message::FrameHeader& header, const detail::Payload& payload, detail::WhenFull when_full);
  // Asks; the waiter gets the answer.
  std::shared_ptr<detail::Waiter> ask(const Address& to, const detail::Payload& payload, detail::NameOf request);
  // Runs `command` on the node's thread and waits for it; here, if the node does not run. Throws what it throws.
  void call(Function<void()> command);
  // The same without waiting; never run if the node has ended.
  void post(Function<void()> command);

  // For the node: does what was left here, as far as the receivers have room; how much.
  std::size_t take();
  [[nodiscard]] bool has_work() const { return has_work_.load(std::memory_order_acquire); }
  // Some queue waits for room at its receiver.
  [[nodiscard]] bool blocked() const { return blocked_; }

  // Commands are given to the node from now on, or no longer; then those who wait are told that it is gone.
  void open();
  void close();

 private:
  struct Item {
    std::uint64_t process;
    KeptFrame frame;
    std::shared_ptr<detail::Waiter> waiter;
  };
  struct Port {
    std::deque<Item> items;
    std::size_t bytes = 0;
  };
  bool put(Item item, detail::WhenFull when_full);
  std::size_t take_commands(std::unique_lock<std::mutex>& lock);
  void forward(Item& item);
  void leave(Item& item);
  void ring();

  Core& core_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::unordered_map<std::thread::id, Port> ports_;
  std::deque<Function<void()>> commands_;
  std::atomic<bool> has_work_{false};
  bool blocked_ = false;
  enum class State { idle, running, closed } state_ = State::idle;
};

}  // namespace troupe::node
