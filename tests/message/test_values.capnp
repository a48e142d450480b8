@0xa1d7c3e5b9f20486;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("troupe::test");
using Values = import "/troupe/value.capnp";

# What the C++ struct Mixed of value_test.cpp is in Cap'n Proto.
struct Mixed {
  small @0 :UInt8;
  large @1 :Int64;
  flag @2 :Bool;
  half @3 :Float32;
  other @4 :Bool;
  short @5 :Int16;
  name @6 :Text;
  numbers @7 :List(Float64);
  flags @8 :List(Bool);
  names @9 :List(Text);
  points @10 :List(Point);
  middle @11 :Point;
  blob @12 :Data;
  last @13 :UInt32;
}

struct Point {
  x @0 :Int32;
  y @1 :Float64;
}

struct Holder {
  id @0 :Int32;
  value @1 :Values.Value;
  more :union {
    plain @2 :Int32;
    values @3 :List(Values.Value);
  }
}
