#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#include <troupe/address.h>
#include <troupe/duration.h>
#include <troupe/errors.h>
#include <troupe/function.h>
#include <troupe/message.h>

namespace troupe {

namespace detail {

// The name of a message's type, for those who read what went wrong.
using NameOf = std::string (*)();
template <class T>
std::string name_of() {
  return capnp::Schema::from<T>().getShortDisplayName().cStr();
}

// What becomes of a request: one of the two is set.
struct Outcome {
  const Body* reply = nullptr;
  const Error* error = nullptr;
  Address found;  // the answer of look_up()
};

// A question under way, of an actor. 0: none.
struct Question {
  std::uint64_t id = 0;
};
void on_outcome(Question question, Function<void(const Outcome&)> then);
void cancel(Question question);

// A question under way, of a thread that is no actor.
class Waiter;
class Wait {
 public:
  Wait(std::shared_ptr<Waiter> waiter) : waiter_(std::move(waiter)) {}  // NOLINT
  // Throws what the error says, and TimeoutError.
  Outcome get(Duration timeout);

 private:
  std::shared_ptr<Waiter> waiter_;
};
Wait ask_and_wait(const Address& to, const Payload& payload, NameOf request);

}  // namespace detail

// The answer to come to a question that an actor asked. Say what to do with it, at once:
//
//     ask<Get, Total>(counter).then([this](Total::Reader total) { … }, [this](const troupe::Error& why) { … });
//
// Exactly one of the two is called, once, as a handler of the asking actor; neither when that has ended before. With the first
// alone an error ends the actor, as if a handler had thrown it. What an Error can say: errors.h.
//
// Threads: the actor's.
template <class Reply>
class Asked {
 public:
  explicit Asked(detail::Question question) : question_(question) {}

  template <class Ok>
  void then(Ok ok) {
    detail::on_outcome(question_, [ok = std::move(ok)](const detail::Outcome& outcome) mutable {
      if (outcome.error) throw_error(*outcome.error);
      call(ok, outcome);
    });
  }
  template <class Ok, class Fail>
  void then(Ok ok, Fail fail) {
    detail::on_outcome(question_, [ok = std::move(ok), fail = std::move(fail)](const detail::Outcome& outcome) mutable {
      if (outcome.error) {
        fail(*outcome.error);
      } else {
        call(ok, outcome);
      }
    });
  }

 private:
  template <class Ok>
  static void call(Ok& ok, const detail::Outcome& outcome) {
    if constexpr (std::is_same_v<Reply, Address>) {
      ok(outcome.found);
    } else {
      detail::read<Reply>(*outcome.reply, ok);
    }
  }
  [[noreturn]] static void throw_error(const Error& error) {
    if (auto* down = dynamic_cast<const ActorDown*>(&error)) throw *down;
    if (auto* late = dynamic_cast<const TimeoutError*>(&error)) throw *late;
    throw RequestFailed(error.what());
  }

  detail::Question question_;
};

// The answer to come to a question asked outside of actors.
//
//     auto answer = troupe::ask<Get, Total>(counter);
//     std::cout << answer.get(std::chrono::seconds(1))->getValue();
//
// Threads: a value of one thread.
template <class Reply>
class Answer {
 public:
  explicit Answer(detail::Wait wait) : wait_(std::move(wait)) {}

  // Waits for it. Throws ActorDown at once when the actor asked is dead or dies, RequestFailed, and TimeoutError; after the
  // latter one may call get() again.
  Message<Reply> get(Duration timeout = kForever) {
    const detail::Outcome outcome = wait_.get(timeout);
    return detail::read<Reply>(*outcome.reply, [](typename Reply::Reader reply) { return Message<Reply>(reply); });
  }

 private:
  detail::Wait wait_;
};

// Asks an actor from a thread that is none: main(), a test, a thread of your own. Actors have a member of the same name.
template <class Request, class Reply, class Fill>
  requires std::is_invocable_v<Fill&, typename Request::Builder>
[[nodiscard]] Answer<Reply> ask(const Address& address, Fill&& fill) {
  return Answer<Reply>(detail::build<Request>(std::forward<Fill>(fill), [&](const detail::Payload& payload) {
    return detail::ask_and_wait(address, payload, &detail::name_of<Request>);
  }));
}
template <class Request, class Reply>
[[nodiscard]] Answer<Reply> ask(const Address& address) {
  return ask<Request, Reply>(address, [](typename Request::Builder) {});
}

// The actor that is called `name` in the tree, by a topology file or by register_name(). Waits for one that the topology
// declares but that is not there yet. Throws ActorDown where there is none, and TimeoutError. For threads that are no actors;
// actors have a member of the same name.
[[nodiscard]] Address look_up(const std::string& name, Duration timeout = kForever);

}  // namespace troupe
