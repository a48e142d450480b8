@0xa7d3e9154f0c82b6;
# What a process of a topology is told when it starts.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("troupe::topology::wire");

struct Start {
  name @0 :Text;        # of the actor in the tree
  actor @1 :Text;       # its type
  library @2 :Text;     # the path of the one that has it; empty for a ready-made actor
  arguments @3 :Data;   # a message of the actor's schema
  addActors @4 :UInt64; # the function that knows the ready-made actors: the same in every copy of root
}
