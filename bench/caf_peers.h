#pragma once

#include "harness.h"

// CAF 0.17, the library that troupe's nodes run their actors with, used as its manual says.
namespace bench {

// Messages a second of 64 bytes from one actor to another of the same process, with a scheduler thread on each CPU.
double caf_local_rate(const Placement& where, int messages);

// The same between two processes, over TCP on the loopback device.
double caf_tcp_rate(int messages);

}  // namespace bench
