@0xd3a8c1b04e7f9625;

using Cxx = import "/capnp/c++.capnp";
using Value = import "/troupe/value.capnp".Value;
$Cxx.namespace("shop");

struct Order {
  count  @0 :UInt32;
  basket @1 :Value;   # a queue of numbers to put the goods in
}

struct Ask {}

struct Goods {
  basket @0 :Value;   # a queue with the goods in it, and a lock
}

struct Picture {
  name   @0 :Text;
  pixels @1 :Data;
  next   @2 :Picture;
}
