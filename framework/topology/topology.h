#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <troupe/catalog.h>

#include "supervisor/spec.h"
#include "topology/diagnostics.h"
#include "topology/library.h"
#include "topology/variables.h"
#include "transport/link.h"

namespace troupe::topology {

// What is to be started for one process of a topology.
class ActorWork : public supervisor::Work {
 public:
  std::string name;     // of the process, and of the actor in the tree
  std::string actor;    // its type
  std::string library;  // the path of the library that has it; empty for a ready-made one
  std::vector<std::byte> arguments;  // a Cap'n Proto message
  std::vector<std::pair<std::string, std::string>> environment;
  Duration watchdog = kForever;
  bool keep_stderr = false;
};

// What a supervisor has as its work all below which lives in one process, which has its name.
class OneProcess : public supervisor::Work {
 public:
  Duration watchdog = kForever;
  bool keep_stderr = false;
};

// How two processes, or the processes of two names with a count, are linked.
struct Link {
  std::string a, b;
  transport::LinkOptions options;
};

// A topology file that was read and found right: values only, nothing of it runs.
struct Topology {
  std::string name;
  supervisor::SupervisorSpec supervisor;  // the top; the work of every actor below it is an ActorWork, that of some supervisors a OneProcess
  std::vector<Link> links;
  std::size_t processes = 0;
  std::vector<std::shared_ptr<capnp::SchemaLoader>> schemas;  // of libraries

  // The options of links between two processes, by their names.
  [[nodiscard]] transport::LinkOptions link_between(const std::string& a, const std::string& b) const;
};

// What a file is checked against.
struct Surroundings {
  const ActorCatalog* catalog = nullptr;                               // the ready-made actors
  Variables variables = environment_variables();
  std::function<LibraryActors(const std::string& path)> inspect = [](const std::string& path) { return inspect_library(path); };
};

// Reads the text of a topology file; nothing if anything is wrong with it, and then `diagnostics` says all that is. Touches nothing but
// the libraries that the file names.
//
// Threads: the one thread of a process, if there are libraries.
std::optional<Topology> check(const Source& source, const Surroundings& surroundings, Diagnostics& diagnostics);

}  // namespace troupe::topology
