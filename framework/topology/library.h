#pragma once

#include <capnp/schema-loader.h>
#include <capnp/schema.h>

#include <memory>
#include <string>
#include <vector>

#include <troupe/catalog.h>
#include <troupe/duration.h>

namespace troupe::topology {

// The actors of a library, known without having loaded it.
struct LibraryActors {
  struct Actor {
    std::string name;
    capnp::StructSchema arguments;
  };
  std::vector<Actor> actors;
  std::string error;  // why it cannot be used
  std::string help;   // and what to do about it; may be empty
  std::shared_ptr<capnp::SchemaLoader> schemas;  // that `actors` belong to
};

// Loads the library at `path` in a process of its own and asks it for its actors, so that one that crashes or hangs does not take
// us along. Call it while the process has one thread.
LibraryActors inspect_library(const std::string& path, Duration timeout = std::chrono::seconds(5));

// Loads the library into this process, for ever, and adds its actors. Throws ConfigError; a second line of it is help.
void load_library(const std::string& path, ActorCatalog& catalog);

}  // namespace troupe::topology
