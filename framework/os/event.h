#pragma once

#include "os/descriptor.h"

namespace troupe::os {

// A doorbell between processes: whoever waits for it with EPOLLET has an event each time it is rung, without ever reading it.
Descriptor make_event();

// The descriptor is such a doorbell, so that ringing it neither waits nor does anything else.
bool is_event(const Descriptor& event);

// Rings it; never waits. Rung in vain if nobody is there any more.
void ring_event(const Descriptor& event);

}  // namespace troupe::os
