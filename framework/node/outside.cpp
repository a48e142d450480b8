#include "node/outside.h"

#include <troupe/errors.h>

#include "node/core.h"

namespace troupe::detail {

void Waiter::settle(const Outcome& outcome) {
  const std::lock_guard lock(mutex_);
  if (outcome.error) {
    if (auto* down = dynamic_cast<const ActorDown*>(outcome.error)) {
      error_ = std::make_exception_ptr(*down);
    } else {
      error_ = std::make_exception_ptr(RequestFailed(outcome.error->what()));
    }
  } else if (outcome.reply) {
    reply_ = std::make_unique<node::Letter>(message::FrameHeader{}, 0, *outcome.reply);
  }
  found_ = outcome.found;
  done_ = true;
  settled_.notify_all();
}

Outcome Waiter::wait(Duration timeout) {
  std::unique_lock lock(mutex_);
  const auto done = [&] { return done_; };
  if (timeout == kForever) {
    settled_.wait(lock, done);
  } else if (!settled_.wait_until(lock, deadline_after(timeout), done)) {
    throw TimeoutError(asking_.late(asked_, timeout));
  }
  if (error_) std::rethrow_exception(error_);
  return {.reply = reply_ ? &reply_->body : nullptr, .error = nullptr, .found = found_};
}

}  // namespace troupe::detail

namespace troupe::node {

const Death kNodeEnded{Death::Cause::stopped, 0, "the node of this process has ended"};

bool Outside::send(std::uint64_t process, const message::FrameHeader& header, const detail::Payload& payload,
                   detail::WhenFull when_full) {
  return put({process, KeptFrame(header, payload), nullptr}, when_full);
}

std::shared_ptr<detail::Waiter> Outside::ask(const Address& to, const detail::Payload& payload, detail::NameOf request) {
  const message::FrameHeader header{.kind = message::Kind::request, .to_slot = to.slot, .to_generation = to.generation};
  auto waiter = std::make_shared<detail::Waiter>(Asking{.request = request}, to);
  put({to.process, KeptFrame(header, payload), waiter}, detail::WhenFull::wait);
  return waiter;
}

bool Outside::put(Item item, detail::WhenFull when_full) {
  const std::size_t size = item.frame.bytes().size();
  if (size > core_.options().link.frame_size_max) throw std::length_error("message larger than a link takes");
  std::unique_lock lock(mutex_);
  const auto mine = std::this_thread::get_id();
  // One larger than the bound goes alone.
  const auto room = [&] {
    const std::size_t bytes = ports_[mine].bytes;
    return state_ != State::running || bytes == 0 || bytes + size <= core_.options().inbox_bytes_max;
  };
  if (when_full == detail::WhenFull::tell && !room()) return false;
  changed_.wait(lock, room);
  if (state_ == State::closed) {
    leave(item);
    return true;
  }
  Port& port = ports_[mine];
  port.bytes += size;
  port.items.push_back(std::move(item));
  lock.unlock();
  ring();
  return true;
}

// There is no node any more that could take it.
void Outside::leave(Item& item) {
  core_.dead_letter();
  if (!item.waiter) return;
  const ActorDown error(item.waiter->unanswered(), kNodeEnded);
  item.waiter->settle({.reply = nullptr, .error = &error, .found = {}});
}

void Outside::post(Function<void()> command) {
  {
    const std::lock_guard lock(mutex_);
    if (state_ == State::closed) return;
    commands_.push_back(std::move(command));
  }
  ring();
}

void Outside::call(Function<void()> command) {
  std::unique_lock lock(mutex_);
  if (state_ == State::closed) throw ActorDown(kNodeEnded);
  if (state_ == State::idle || Core::current() == &core_) {
    lock.unlock();
    const Core::Inside inside(&core_);
    return command();
  }
  bool done = false;
  std::exception_ptr thrown;
  commands_.push_back([&] {
    try {
      command();
    } catch (...) {
      thrown = std::current_exception();
    }
    const std::lock_guard again(mutex_);
    done = true;
    changed_.notify_all();
  });
  lock.unlock();
  ring();
  lock.lock();
  changed_.wait(lock, [&] { return done || state_ == State::closed; });
  if (!done) throw ActorDown(kNodeEnded);
  if (thrown) std::rethrow_exception(thrown);
}

void Outside::ring() {
  has_work_.store(true, std::memory_order_seq_cst);
  core_.wake();
}

std::size_t Outside::take() {
  std::unique_lock lock(mutex_);
  has_work_.store(false, std::memory_order_relaxed);
  std::size_t done = take_commands(lock);
  blocked_ = false;
  bool room = false;
  for (auto at = ports_.begin(); at != ports_.end();) {
    Port& port = at->second;
    for (; !port.items.empty(); ++done) {
      Item& item = port.items.front();
      if (core_.congested(item.process, item.frame.header().to_slot)) break;
      port.bytes -= item.frame.bytes().size();
      room = true;
      forward(item);
      port.items.pop_front();
    }
    blocked_ = blocked_ || !port.items.empty();
    at = port.items.empty() ? ports_.erase(at) : std::next(at);
  }
  if (room) changed_.notify_all();
  return done;
}

// Without the lock: a command may send, ask and make actors.
std::size_t Outside::take_commands(std::unique_lock<std::mutex>& lock) {
  auto commands = std::exchange(commands_, {});
  if (commands.empty()) return 0;
  lock.unlock();
  for (auto& command : commands) command();
  lock.lock();
  return commands.size();
}

void Outside::forward(Item& item) {
  if (item.waiter) {
    Question& question = core_.open_question(Question::Kind::ask, kForever);
    question.waiter = std::move(item.waiter);
    question.target.process = item.process;
    item.frame.set_correlation(question.id());
    question.link = core_.link_id(item.process);
  }
  core_.forward(item.process, std::move(item.frame));
}

void Outside::open() {
  const std::lock_guard lock(mutex_);
  state_ = State::running;
}

void Outside::close() {
  const std::lock_guard lock(mutex_);
  state_ = State::closed;
  for (auto& [thread, port] : ports_) {
    for (Item& item : port.items) leave(item);
  }
  ports_.clear();
  commands_.clear();
  changed_.notify_all();
}

}  // namespace troupe::node
