#pragma once

#include <capnp/schema.h>

#include <cstddef>
#include <string>
#include <vector>

#include "topology/diagnostics.h"
#include "topology/toml.h"

namespace troupe::topology {

// The arguments of an actor: a message of `schema` filled in from the table `args`, with everything noted that does not fit. Where the
// file gives no table, `args` is null and what is missing is noted at `place`.
//
// A field such as maxSize is called max_size in the file, and so are enumerants. Text, numbers, true and false, enums, Data (as text),
// lists, and structs and groups (as tables) can be given; of a union one member. See annotations.capnp for the rest.
std::vector<std::byte> build_arguments(capnp::StructSchema schema, const Node* args, const Place& place, const std::string& actor,
                                       Diagnostics& diagnostics);

// "maxSize" as "max_size".
std::string snake_case(std::string_view name);

// One line a field: its name, type, default and whether it must be given; for `troupe actors`.
std::vector<std::string> describe_arguments(capnp::StructSchema schema);

}  // namespace troupe::topology
