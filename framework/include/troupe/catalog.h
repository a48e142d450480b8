#pragma once

#include <capnp/any.h>
#include <capnp/schema.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <troupe/actor.h>
#include <troupe/catalog.capnp.h>

namespace troupe {

// Actors that can be started by name, with arguments that come as a Cap'n Proto struct: what a topology file chooses from.
//
// A library of actors for topology files (CMake: troupe_actor_library) has one function that fills a catalog. It is called
// `troupe_actors`, stands outside of all namespaces, and is run in every process that loads the library:
//
//     extern "C" void troupe_actors(troupe::ActorCatalog& catalog) {
//       catalog.add<LineReader, LineReaderArguments>("line_reader");   // LineReader(Context&, LineReaderArguments::Reader)
//       catalog.add<Clock>("clock");                                   // Clock(Context&)
//     }
//
// A whole one: examples/actor_library. What a file has to know of the fields of LineReaderArguments (required, durations, names
// of other actors): annotations.capnp. Who reads a catalog:
//
//     const auto* entry = catalog.find("line_reader");
//     entry->arguments;                                              // the schema, to fill in and check arguments by
//     auto actor = entry->make(context, arguments);
//
// Threads: build it in one thread; reading it is safe from any.
class ActorCatalog {
 public:
  struct Entry {
    std::string name;
    capnp::StructSchema arguments;  // that of ArgumentsNone, which has no fields, where there are none
    // `arguments` must be of that schema. Throws what the constructor throws.
    std::unique_ptr<Actor> (*make)(Context& context, capnp::AnyStruct::Reader arguments);
  };

  // Throws ConfigError if the name is taken.
  template <class A, class Arguments = ArgumentsNone>
  void add(const std::string& name) {
    add({name, capnp::Schema::from<Arguments>(), &make_actor<A, Arguments>});
  }
  void add(Entry entry);

  // Null where there is none of that name. Stays valid as long as the catalog.
  [[nodiscard]] const Entry* find(const std::string& name) const;
  // All names, sorted.
  [[nodiscard]] std::vector<std::string> names() const;

 private:
  template <class A, class Arguments>
  static std::unique_ptr<Actor> make_actor(Context& context, [[maybe_unused]] capnp::AnyStruct::Reader arguments) {
    if constexpr (std::is_same_v<Arguments, ArgumentsNone>) {
      return std::make_unique<A>(context);
    } else {
      return std::make_unique<A>(context, arguments.as<Arguments>());
    }
  }

  std::map<std::string, Entry> entries_;
};

}  // namespace troupe
