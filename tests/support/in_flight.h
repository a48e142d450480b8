#pragma once

#include <utility>

#include "os/descriptor.h"

namespace troupe::test {

// So many descriptors under way in a socket that the kernel lets this user send no more, anywhere (ETOOMANYREFS).
//
//     Child child([] {
//       be_somebody();
//       InFlight in_flight;
//       …                      // no descriptor can be sent now
//       in_flight.land();      // again they can
//
// Threads: one.
class InFlight {
 public:
  InFlight();
  void land();

 private:
  std::pair<os::Descriptor, os::Descriptor> sockets_;
};

// For a forked process: from now on it is a user whom nobody else is, without privileges, who may open few descriptors. What it forks,
// too. A process without the privilege to change stays who it is, which will do.
void be_somebody();

}  // namespace troupe::test
