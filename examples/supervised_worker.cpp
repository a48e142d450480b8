// A worker that crashes twice and comes back each time, until its work is done.

#include <troupe/actor.h>
#include <troupe/program.h>
#include <troupe/supervisor.h>

#include <cstdlib>
#include <iostream>

#include "supervised_worker.capnp.h"

using supervised_worker::Begin;
using supervised_worker::Life;

// Remembers what a worker that dies cannot.
class Ledger : public troupe::Actor {
 public:
  explicit Ledger(troupe::Context& context) : Actor(context) {
    on<Begin, Life>([this](Begin::Reader, Life::Builder life) { life.setNumber(++lives_); });
  }

 private:
  unsigned lives_ = 0;
};

void work(int crashes) {
  const auto life = troupe::ask<Begin, Life>(troupe::look_up("ledger")).get()->getNumber();
  std::cout << "worker: life " << life << std::endl;
  if (static_cast<int>(life) <= crashes) std::abort();
  std::cout << "worker: done\n";
}

int main(int argc, char** argv) {
  troupe::Program program(argc, argv);

  troupe::Supervisor supervisor("example", {
      .max_restarts = 5,
      .auto_shutdown = troupe::AutoShutdown::any_significant,  // when the worker is done, all is
      .children = {
          troupe::Child::actor<Ledger>("ledger"),
          troupe::Child("worker", work, 2, troupe::ChildOptions{.restart = troupe::Restart::transient, .significant = true}),
      }});
  supervisor.start();
  supervisor.join();
  std::cout << "supervisor: " << supervisor.death()->describe() << '\n';
}
