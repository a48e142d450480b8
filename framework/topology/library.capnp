@0xe1b7f04c925d3a68;
# What the process that loaded a library of actors says of it.

using Cxx = import "/capnp/c++.capnp";
using Schema = import "/capnp/schema.capnp";
$Cxx.namespace("troupe::topology::wire");

struct LibraryReport {
  error @0 :Text;  # why the library cannot be used; nothing else is set then
  actors @1 :List(Actor);
  schemas @2 :List(Schema.Node);  # of the arguments, and of all that they mention

  struct Actor {
    name @0 :Text;
    arguments @1 :UInt64;
  }
}
