#pragma once

#include <functional>
#include <optional>
#include <string>

#include "topology/diagnostics.h"
#include "topology/toml.h"

namespace troupe::topology {

// The value of an environment variable, or nothing if it is not set.
using Variables = std::function<std::optional<std::string>(const std::string& name)>;

// Those of this process.
Variables environment_variables();

// Replaces in every text of `node` (not in keys): ${NAME}, ${NAME:-default}, ${NAME:?message}, and $$ for a dollar sign. As in a
// shell, `:-` and `:?` also apply to a variable that is set to nothing. One that is not set and has no default is an error.
void substitute_variables(Node& node, const Source& source, const Variables& variables, Diagnostics& diagnostics);

}  // namespace troupe::topology
