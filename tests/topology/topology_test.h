#pragma once

#include <troupe/catalog.h>

#include <string>

#include "topology/test_arguments.capnp.h"
#include "topology/topology.h"

namespace troupe::test {

// What the tests' files are checked against: two ready-made actors, a few variables, and a library that exists in name only.
inline topology::Surroundings surroundings() {
  static const ActorCatalog catalog = [] {
    ActorCatalog made;
    made.add({"everything", capnp::Schema::from<EverythingArguments>(), nullptr});
    made.add({"plain", capnp::Schema::from<ArgumentsNone>(), nullptr});
    return made;
  }();
  topology::Surroundings result;
  result.catalog = &catalog;
  result.variables = [](const std::string& name) -> std::optional<std::string> {
    if (name == "SET") return "set";
    if (name == "EMPTY") return "";
    if (name == "LONG") return std::string(1 << 20, 'x');
    return std::nullopt;
  };
  result.inspect = [](const std::string& path) {
    topology::LibraryActors library;
    if (path.ends_with("libgood.so")) library.actors.push_back({"mine", capnp::Schema::from<ArgumentsNone>()});
    else library.error = "No such file or directory";
    return library;
  };
  return result;
}

}  // namespace troupe::test
