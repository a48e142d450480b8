// A library of actors for topology files: one draws numbers, another adds them up.

#include <troupe/troupe.h>

#include <iostream>

#include "numbers.capnp.h"

namespace numbers {

// Takes no arguments: troupe::Context& is all that it is made with.
class Adder : public troupe::Actor {
 public:
  explicit Adder(troupe::Context& context) : Actor(context) {
    on<Add>([this](Add::Reader add) { total_ += add.getAmount(); });
    on<Finish, Total>([this](Finish::Reader, Total::Builder total) {
      total.setValue(total_);
      stop();  // once the reply is out
    });
  }

 private:
  std::int64_t total_ = 0;
};

// Is given what the file says in `args`.
class Drawer : public troupe::Actor {
 public:
  Drawer(troupe::Context& context, DrawerArguments::Reader arguments) : Actor(context), count_(arguments.getCount()) {
    // Another actor of the file is found by the name of its process, also when it is yet to start.
    look_up(arguments.getAdder().cStr()).then([this](const troupe::Address& adder) { draw(adder); });
  }

 private:
  void draw(const troupe::Address& adder) {
    for (std::uint32_t i = 1; i <= count_; ++i) adder.send<Add>([i](Add::Builder add) { add.setAmount(i); });
    ask<Finish, Total>(adder, std::chrono::seconds(10))
        .then(
            [this](Total::Reader total) {
              std::cout << "the sum is " << total.getValue() << std::endl;
              stop();  // all is done: its process ends well
            },
            [](const troupe::Error& error) { throw std::runtime_error(error.what()); });  // its supervisor starts another
  }

  std::uint32_t count_;
};

}  // namespace numbers

// What `troupe` calls when it has loaded the library: it adds the actors under the names that files call them by.
extern "C" void troupe_actors(troupe::ActorCatalog& catalog) {
  catalog.add<numbers::Adder>("adder");
  catalog.add<numbers::Drawer, numbers::DrawerArguments>("drawer");
}
