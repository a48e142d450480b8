@0xa6c3f1e07b5d2489;

using Cxx = import "/capnp/c++.capnp";
using Troupe = import "/troupe/address.capnp";
$Cxx.namespace("troupe::test");

struct Flat {
  a @0 :Int64;
  b @1 :UInt32 = 7;
  c @2 :Float64;
  d @3 :Bool;
}

struct Tree {
  name @0 :Text;
  data @1 :Data;
  children @2 :List(Tree);
  address @3 :Troupe.Address;
}

struct Empty {}
