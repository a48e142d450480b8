@0xd20b94f7c1e6a583;

using Troupe = import "/troupe/address.capnp";

# 64 bytes without pointers.
struct Numbers { a @0 :Int64; b @1 :Int64; c @2 :Int64; d @3 :Int64; e @4 :Int64; f @5 :Int64; g @6 :Int64; h @7 :Int64; }

# The like with a pointer, so that the ordinary builder is used.
struct Words { number @0 :Int64; text @1 :Text; other @2 :Int64; }

struct Again {}
struct Finish { messages @0 :UInt64; }
struct Finished {}
struct Receivers { list @0 :List(Troupe.Address); }
struct Run {}
struct Seconds { value @0 :Float64; }
