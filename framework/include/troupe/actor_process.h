#pragma once

#include <troupe/actor.h>
#include <troupe/process.h>

#include <memory>
#include <type_traits>
#include <utility>

namespace troupe {

// A process that hosts one actor, and what that makes itself. It ends when all of them have, with exit code 1 if one threw: an
// actor that never calls stop() is there until somebody calls terminate(), and main's end waits for that, unless it is a
// daemon.
//
//     auto counter = troupe::start_process<Counter>({.name = "counter"}, 5);      // Counter(Context&, int)
//     counter.address().send<Add>([](Add::Builder add) { add.setAmount(3); });
//     counter.terminate();                                                        // its actors' on_stop(), newest first
//     counter.join();
//
// The name is that of the process; look_up() finds the actor only by one that it gives itself with register_name(). The address
// is good at once: what is sent before the actor is there waits for it, and if it never comes those who ask hear why.
//
// Threads: as Process; the address is a value.
class ActorProcess : public Process {
 public:
  // `process` is to host its actor as the first of a new node.
  explicit ActorProcess(Process process);
  [[nodiscard]] const Address& address() const { return address_; }

 private:
  Address address_;
};

namespace detail {

int host(Function<std::unique_ptr<Actor>(Context&)> make);

template <class T>
T& as_parameter(T& value) {
  return value;
}
// An actor may take the reader of a message.
template <class T>
typename T::Reader as_parameter(Message<T>& value) {
  return *value;
}

template <class A, class... Values>
int host_actor(Values... values) {
  return host([&](Context& context) -> std::unique_ptr<Actor> {
    if constexpr (std::is_constructible_v<A, Context&, Values&&...>) {
      return std::make_unique<A>(context, std::move(values)...);
    } else {
      return std::make_unique<A>(context, as_parameter(values)...);
    }
  });
}

}  // namespace detail

// Starts a process with an A in it, constructed with (Context&, arguments…). Arguments are values (troupe/value.h); an actor
// that takes a Reader is given the Message.
template <class A, class... Args>
[[nodiscard]] ActorProcess start_process(ProcessOptions options, Args&&... arguments) {
  return ActorProcess(Process(&detail::host_actor<A, detail::Kept<Args>...>, std::forward<Args>(arguments)..., std::move(options)));
}

}  // namespace troupe
