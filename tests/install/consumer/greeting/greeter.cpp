// An actor of somebody else's, in a library that a topology file names.

#include <troupe/troupe.h>

#include <iostream>

#include "greeting/greeter.capnp.h"

namespace greeting {

class Greeter : public troupe::Actor {
 public:
  Greeter(troupe::Context& context, GreeterArguments::Reader arguments) : Actor(context) {
    std::cout << "hello, " << arguments.getWhom().cStr() << std::endl;
    stop();
  }
};

}  // namespace greeting

extern "C" void troupe_actors(troupe::ActorCatalog& catalog) {
  catalog.add<greeting::Greeter, greeting::GreeterArguments>("greeter");
}
