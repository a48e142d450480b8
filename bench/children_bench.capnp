@0xe0a4713fb85c26d9;

using Troupe = import "/troupe/address.capnp";

struct Ping {}
struct Done {}
struct Watch { whom @0 :Troupe.Address; }
