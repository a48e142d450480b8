// Any bytes as a topology file: checked to the end, with actors to take arguments for, but without libraries. What comes out right
// must stay inside its bounds; a message must be printable.

#include <troupe/catalog.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include <capnp/schema.capnp.h>

#include "topology/topology.h"

using namespace troupe;
using namespace troupe::topology;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

Surroundings make_surroundings() {
  static const ActorCatalog catalog = [] {
    ActorCatalog made;
    made.add({"plain", capnp::Schema::from<ArgumentsNone>(), nullptr});
    made.add({"node", capnp::Schema::from<capnp::schema::Node>(), nullptr});  // has everything: groups, unions, lists, pointers
    return made;
  }();
  Surroundings surroundings;
  surroundings.catalog = &catalog;
  surroundings.variables = [](const std::string& name) -> std::optional<std::string> {
    if (name.size() % 2) return std::nullopt;
    return name;
  };
  surroundings.inspect = [](const std::string&) {
    LibraryActors library;
    library.error = "no libraries here";
    return library;
  };
  return surroundings;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Surroundings surroundings = make_surroundings();
  const Source source{"fuzz.toml", std::string(reinterpret_cast<const char*>(data), size)};
  Diagnostics diagnostics;
  const auto topology = check(source, surroundings, diagnostics);
  require(topology.has_value() == diagnostics.empty());
  if (topology) {
    require(topology->processes >= 1 && topology->processes <= 10000);
    (void)topology->link_between("a", "b.1");
    return 0;
  }
  const std::string messages = diagnostics.render(source, false);
  for (const char c : messages) require(c == '\n' || static_cast<unsigned char>(c) >= 0x20);
  require(!diagnostics.json(source).empty());
  return 0;
}
