@0xf3a8c51e7d20b946;

using Cxx = import "/capnp/c++.capnp";
using Troupe = import "/troupe/annotations.capnp";
$Cxx.namespace("troupe::test");

enum Mode {
  plain @0;
  veryLoud @1;
}

struct EverythingArguments {
  path @0 :Text $Troupe.required;
  count @1 :UInt8 = 3;
  offset @2 :Int32;
  large @3 :UInt64;
  ratio @4 :Float64 = 0.5;
  small @5 :Float32;
  quiet @6 :Bool;
  mode @7 :Mode;
  patience @8 :Int64 = 5000000000 $Troupe.duration;
  cacheSize @9 :UInt64 = 65536 $Troupe.size;
  raw @10 :Data;
  words @11 :List(Text);
  matrix @12 :List(List(Int16));
  point @13 :Point;
  points @14 :List(Point);
  place :group {
    city @15 :Text;
  }
  union {
    none @16 :Void;
    url @17 :Text;
    port @18 :UInt16;
  }
  anything @19 :AnyPointer;
  modes @20 :List(Mode);
  sink @21 :Text $Troupe.actor;
  sinks @22 :List(Text) $Troupe.actor;

  struct Point {
    x @0 :Int32;
    y @1 :Int32 $Troupe.required;
  }
}
