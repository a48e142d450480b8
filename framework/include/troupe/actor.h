#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <troupe/address.h>
#include <troupe/ask.h>
#include <troupe/death.h>
#include <troupe/duration.h>
#include <troupe/function.h>
#include <troupe/message.h>

namespace troupe {

class Actor;
class Context;

namespace detail {

class Cell;  // the place of an actor in its node

enum class WhenFull : std::uint8_t { wait, tell };
bool send(const Address& to, const Payload& payload, WhenFull when_full);

// Where the answer to a request goes. Dropped without an answer it says so to the asker.
class ReplyTo {
 public:
  ReplyTo() = default;
  ReplyTo(const Address& asked, const Address& asker, std::uint64_t correlation)
      : asked_(asked), asker_(asker), correlation_(correlation) {}
  ReplyTo(ReplyTo&& other) noexcept
      : asked_(other.asked_), asker_(other.asker_), correlation_(std::exchange(other.correlation_, 0)) {}
  ReplyTo& operator=(ReplyTo&& other) noexcept {
    if (this != &other) {
      if (correlation_) drop();
      asked_ = other.asked_;
      asker_ = other.asker_;
      correlation_ = std::exchange(other.correlation_, 0);
    }
    return *this;
  }
  ~ReplyTo() {
    if (correlation_) drop();
  }
  explicit operator bool() const { return correlation_ != 0; }
  void reply(const Payload& payload);
  void fail(const std::string& why);

 private:
  void drop() noexcept;
  Address asked_;
  Address asker_;  // only its process is sure: it may be no actor
  std::uint64_t correlation_ = 0;  // 0 once answered
};

// A message and what came with it, while it is handled.
struct Incoming {
  Body body;
  Address sender;
  Address receiver;
  std::uint64_t correlation = 0;  // 0 for what is not to be answered

  void reply(const Payload& payload) { later().reply(payload); }
  ReplyTo later() { return {receiver, sender, std::exchange(correlation, 0)}; }
};

using Handler = Function<void(Incoming&)>;

// The handlers of an actor by schema id: a small open hash table, for ids are random numbers already.
class Handlers {
 public:
  struct Entry {
    std::uint64_t schema = 0;
    capnp::StructSchema takes;  // what the actor understands can be shown as text while it is under way
    capnp::StructSchema gives;  // the reply, if any
    std::unique_ptr<Handler> handler;
    const char* name = nullptr;  // of the request's type; set()'s
  };
  // Also while a handler runs: the one that is replaced lives until forget_replaced().
  void set(Entry entry);
  void forget_replaced() {
    if (!replaced_.empty()) replaced_.clear();
  }
  [[nodiscard]] const std::vector<Entry>& entries() const { return entries_; }  // some are empty: schema 0
  Entry* find(std::uint64_t schema) {
    for (std::size_t i = schema & mask_;; i = (i + 1) & mask_) {
      if (entries_[i].schema == schema) return &entries_[i];
      if (entries_[i].schema == 0) return nullptr;
    }
  }

 private:
  void place(Entry entry);

  std::vector<Entry> entries_ = std::vector<Entry>(4);
  std::size_t mask_ = 3;
  std::size_t used_ = 0;
  std::vector<std::unique_ptr<Handler>> replaced_;
};

Address spawn(Function<std::unique_ptr<Actor>(Context&)> make);

}  // namespace detail

// What an actor is made with, to be handed on to Actor's constructor.
class Context {
 public:
  explicit Context(detail::Cell& cell) : cell_(cell) {}

 private:
  friend class Actor;
  detail::Cell& cell_;
};

// The right to answer a request later. Dropped without an answer it tells the asker so, at once.
//
//     on<Slow, Total>([this](Slow::Reader, troupe::Responder<Total> reply) { waiting_.push_back(std::move(reply)); });
//
// When the actor dies all that it holds are answered with its Death.
//
// Threads: a value that may be handed to another thread; one at a time.
template <class Reply>
class Responder {
 public:
  Responder() = default;
  explicit Responder(detail::ReplyTo to) : to_(std::move(to)) {}

  // Answers; afterwards this is empty, and answering again does nothing.
  template <class Fill>
  void reply(Fill&& fill) {
    if (to_) detail::build<Reply>(std::forward<Fill>(fill), [&](const detail::Payload& payload) { to_.reply(payload); });
  }
  // The asker gets a RequestFailed with these words.
  void fail(const std::string& why) {
    if (to_) to_.fail(why);
  }
  explicit operator bool() const { return static_cast<bool>(to_); }

 private:
  detail::ReplyTo to_;
};

// Something that an actor waits for and may stop waiting for: a timer, a death. It goes on when this is dropped.
//
// Threads: the actor's.
class Subscription {
 public:
  Subscription() = default;
  explicit Subscription(detail::Question question) : question_(question) {}
  void cancel() { detail::cancel(std::exchange(question_, {})); }

 private:
  detail::Question question_;
};
using Monitor = Subscription;

// An object with a mailbox that lives in one process and can be reached from all. It says in its constructor what it understands:
//
//     class Counter : public troupe::Actor {
//      public:
//       explicit Counter(troupe::Context& context) : Actor(context) {
//         on<Add>([this](Add::Reader add) { total_ += add.getAmount(); });
//         on<Get, Total>([this](Get::Reader, Total::Builder total) { total.setValue(total_); });
//       }
//      private:
//       std::int64_t total_ = 0;
//     };
//
// Everything of it runs one at a time: handlers, timers, answers. A handler that throws ends the actor with the Death it
// caused; whoever asked it something or monitors it gets that. Messages from one sender arrive in order, each at most once.
// Messages to an actor that has ended, or that it has no handler for, are dropped and counted, silently. Handlers must not
// block: ask() and after().
//
// Threads: the node's. Everything here may be called by the actor itself only.
class Actor {
 public:
  explicit Actor(Context& context) : cell_(context.cell_) {}
  virtual ~Actor() = default;
  Actor(const Actor&) = delete;
  Actor& operator=(const Actor&) = delete;

  // The process is to end in order. An actor that has something to finish first overrides this and calls stop() when it is done.
  virtual void on_stop() { stop(); }

  // This process has more memory than its Limits::memory_budget; called when that begins, within a tenth of a second. An actor that can
  // do without something gives it back. See also over_memory_budget().
  virtual void on_over_budget() {}

 protected:
  // Handles a message; a later handler for the same type replaces it.
  template <class Request, class F>
  void on(F handler) {
    static_assert(std::is_invocable_v<F&, typename Request::Reader>, "takes a Request::Reader");
    add<Request>({}, [handler = std::move(handler)](detail::Incoming& in) mutable {
      detail::read<Request>(in.body, [&](typename Request::Reader request) { handler(request); });
    });
  }
  // Handles a request: fills in a Reply::Builder, sent when it returns, or keeps a Responder<Reply> to answer later.
  template <class Request, class Reply, class F>
  void on(F handler) {
    add<Request>(capnp::Schema::from<Reply>(), [handler = std::move(handler)](detail::Incoming& in) mutable {
      detail::read<Request>(in.body, [&](typename Request::Reader request) {
        if constexpr (std::is_invocable_v<F&, typename Request::Reader, typename Reply::Builder>) {
          detail::build<Reply>([&](typename Reply::Builder reply) { handler(request, reply); },
                               [&](const detail::Payload& payload) {
                                 if (in.correlation) in.reply(payload);
                               });
        } else {
          static_assert(std::is_invocable_v<F&, typename Request::Reader, Responder<Reply>>,
                        "takes a Request::Reader and a Reply::Builder or Responder<Reply>");
          handler(request, Responder<Reply>(in.later()));
        }
      });
    });
  }

  [[nodiscard]] Address self() const;
  // Who sent the message in hand; nobody when it was no actor.
  [[nodiscard]] Address sender() const;

  // Asks another actor; see Asked. Fails at once when it is dead, and when it dies before it answers.
  template <class Request, class Reply, class Fill>
    requires std::is_invocable_v<Fill&, typename Request::Builder>
  [[nodiscard]] Asked<Reply> ask(const Address& address, Fill&& fill, Duration timeout = kForever) {
    return Asked<Reply>(detail::build<Request>(std::forward<Fill>(fill), [&](const detail::Payload& payload) {
      return start_ask(address, payload, &detail::name_of<Request>, timeout);
    }));
  }
  template <class Request, class Reply>
  [[nodiscard]] Asked<Reply> ask(const Address& address, Duration timeout = kForever) {
    return ask<Request, Reply>(address, [](typename Request::Builder) {}, timeout);
  }
  // The actor that is called `name` in the tree: those of a topology file by the names of their processes, others as they
  // called themselves with register_name(); the name of a Process is none. Waits for one that the topology declares but that is
  // not there yet.
  [[nodiscard]] Asked<Address> look_up(const std::string& name, Duration timeout = kForever);
  // Gives this actor a name in the tree, also one that another has: the last has it. It is lost when the process ends.
  void register_name(const std::string& name);

  using Timer = Subscription;  // here; elsewhere that of timer.h
  // Calls `then` once after `delay`, or again and again.
  Timer after(Duration delay, Function<void()> then);
  Timer every(Duration period, Function<void()> then);
  // Calls `then` once when that actor ends, at once if it has already.
  Monitor monitor(const Address& address, Function<void(const Death&)> then);

  // Starts an actor in this process, made with (Context&, arguments…). Throws what its constructor throws.
  template <class A, class... Args>
  Address spawn(Args&&... arguments) {
    return detail::spawn([&](Context& context) { return std::make_unique<A>(context, std::forward<Args>(arguments)...); });
  }

  // Ends this actor in order, once what runs now has returned.
  void stop();

 private:
  friend class detail::Cell;
  template <class Request, class F>
  void add(capnp::StructSchema reply, F handler) {
    handlers_.set({capnp::typeId<Request>(), capnp::Schema::from<Request>(), reply,
                   std::make_unique<detail::Handler>(std::move(handler))});
  }
  detail::Question start_ask(const Address& address, const detail::Payload& payload, detail::NameOf request, Duration timeout);

  detail::Cell& cell_;
  detail::Handlers handlers_;
};

// Starts an actor in this process from outside of actors; it is constructed on the node's thread. Throws what its constructor
// throws.
template <class A, class... Args>
Address spawn(Args&&... arguments) {
  return detail::spawn([&](Context& context) { return std::make_unique<A>(context, std::forward<Args>(arguments)...); });
}

template <class Message, class Fill>
void Address::send(Fill&& fill) const {
  detail::build<Message>(std::forward<Fill>(fill),
                         [&](const detail::Payload& payload) { detail::send(*this, payload, detail::WhenFull::wait); });
}

template <class Message>
void Address::send() const {
  send<Message>([](typename Message::Builder) {});
}

template <class Message, class Fill>
bool Address::try_send(Fill&& fill) const {
  return detail::build<Message>(std::forward<Fill>(fill), [&](const detail::Payload& payload) {
    return detail::send(*this, payload, detail::WhenFull::tell);
  });
}

}  // namespace troupe
