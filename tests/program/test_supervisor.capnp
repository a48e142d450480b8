@0xa9d4e6f10c83b257;

using import "/troupe/address.capnp".Address;
using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("troupe::test");

struct Ping {
  fail @0 :Bool;
  wanted @1 :UInt64;
}

struct Item {
  number @0 :UInt64;
  text @1 :Text;
}

struct Pong {
  value @0 :Int64;
  pid @1 :Int64;
}

struct Watch {
  whom @0 :Address;
}

struct Report {
  text @0 :Text;
}
