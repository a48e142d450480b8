#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "supervisor/spec.h"
#include "topology/arguments.h"
#include "topology/diagnostics.h"
#include "topology/toml.h"
#include "topology/topology.h"

namespace troupe::topology {

// What a topology file says, table by table, before anything is known of how they fit together.
struct Draft {
  // [supervisor], or one [[supervisor]].
  struct Supervisor {
    const Node* table = nullptr;
    supervisor::ChildSpec child;
    supervisor::SupervisorSpec spec;
    std::shared_ptr<OneProcess> one_process;  // none: its children have processes of their own
    std::string under;  // empty: the top
    Place under_place;
  };
  struct Process {
    const Node* table = nullptr;
    supervisor::ChildSpec child;
    ActorWork work;
    std::optional<std::int64_t> count;
    std::string under;
    Place under_place;
  };
  struct LinkEntry {
    const Node* between = nullptr;
    Link link;
  };
  enum class What { process, supervisor };
  struct Name {
    Place place;
    What what;
  };

  std::string name;
  std::optional<Supervisor> top;
  std::vector<Supervisor> supervisors;  // that have a name
  std::vector<Process> processes;
  std::vector<LinkEntry> links;
  std::vector<ActorReference> references;  // of arguments
  std::map<std::string, Name> names;  // of all, with the numbered ones of a count
  std::vector<std::shared_ptr<capnp::SchemaLoader>> schemas;
};

// How a supervisor of a topology is unless the file says otherwise.
supervisor::SupervisorSpec standard_supervisor();

// Reads all tables of `root`, which must outlive the draft.
Draft read_draft(const Node& root, const Source& source, const Surroundings& surroundings, Diagnostics& diagnostics);

}  // namespace troupe::topology
