#pragma once

#include <capnp/schema.h>

#include <cstddef>
#include <string>
#include <vector>

#include "topology/diagnostics.h"
#include "topology/toml.h"

namespace troupe::topology {

// Where arguments name an actor of the topology, which is to be there.
struct ActorReference {
  std::string name;
  Place place;
  std::string what;  // needs it: "`sink`", "actor `fetcher` without a `sink`"
};

// The arguments of an actor: a message of `schema` filled in from the table `args`, with everything noted that does not fit.
// Where the file gives no table, `args` is null and what is missing is noted at `place`.
//
// A field such as maxSize is called max_size in the file, and so are enumerants. Text, numbers, true and false, enums, Data (as
// text), lists, and structs and groups (as tables) can be given; of a union one member. See annotations.capnp for the rest. The
// actors that are named are added to `references`.
std::vector<std::byte> build_arguments(capnp::StructSchema schema, const Node* args, const Place& place,
                                       const std::string& actor, std::vector<ActorReference>& references,
                                       Diagnostics& diagnostics);

// "maxSize" as "max_size".
std::string snake_case(std::string_view name);

// A field of an actor's arguments, for `troupe actors`.
struct Argument {
  std::string name;
  std::string type;      // "text", "duration", "one of `plain` and `loud`"
  std::string standard;  // as it would stand in a file; empty where there is none that text can say, or it is required
  bool required = false;

  // "path: text, required"; "top: integer, default 10".
  [[nodiscard]] std::string describe() const;
};
std::vector<Argument> describe_arguments(capnp::StructSchema schema);

}  // namespace troupe::topology
