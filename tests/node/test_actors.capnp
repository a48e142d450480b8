@0xc81d5f4e92a7b360;

using Cxx = import "/capnp/c++.capnp";
using Troupe = import "/troupe/address.capnp";
$Cxx.namespace("troupe::test");

struct Add { amount @0 :Int64; }
struct Get {}
struct Total { value @0 :Int64; }
struct Slow {}
struct Fail { why @0 :Text; }
struct Drop {}
struct Unknown {}

# 64 bytes without pointers.
struct Flat64 { a @0 :Int64; b @1 :Int64; c @2 :Int64; d @3 :Int64; e @4 :Int64; f @5 :Int64; g @6 :Int64; h @7 :Int64; }

struct Note { text @0 :Text; data @1 :Data; from @2 :Troupe.Address; number @3 :UInt64; }

struct Ball { to @0 :Troupe.Address; left @1 :UInt64; }
