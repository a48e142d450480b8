#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <troupe/death.h>
#include <troupe/duration.h>
#include <troupe/supervision.h>

namespace troupe::supervisor {

using troupe::AutoShutdown;
using troupe::Backoff;
using troupe::FirstStart;
using troupe::Restart;
using troupe::Strategy;

// The wait before the restart after `failures` ends in a row; `random` is uniform in [0, 1).
Duration backoff_delay(const Backoff& backoff, unsigned failures, double random);

// What to start for a child. Supervisors never look inside; who runs the tree knows what it gave them.
class Work {
 public:
  virtual ~Work() = default;
};

struct SupervisorSpec;

struct ChildSpec {
  std::string id;  // unique under its supervisor
  Restart restart = Restart::permanent;
  bool significant = false;
  Duration stop_timeout = std::chrono::seconds(5);  // from being asked to stop to being killed; 0 kills at once
  Duration start_timeout = kForever;                // for it to say that it is ready
  std::shared_ptr<const Work> work;
  std::shared_ptr<const SupervisorSpec> supervisor;  // set if the child is a supervisor; it then has no work
};

struct SupervisorSpec {
  Strategy strategy = Strategy::one_for_one;
  unsigned max_restarts = 3;  // more than that many within max_seconds, and the supervisor gives up
  Duration max_seconds = std::chrono::seconds(5);
  AutoShutdown auto_shutdown = AutoShutdown::never;
  FirstStart first_start = FirstStart::abort;
  bool end_when_done = false;  // ends well once children have ended by themselves and none is left or to come
  Backoff backoff;
  std::vector<ChildSpec> children;
};

// Why no child may be specified so under a supervisor with that auto_shutdown, or null if it may.
const char* spec_problem(const ChildSpec& child, AutoShutdown auto_shutdown);

}  // namespace troupe::supervisor
