@0xc1d7f20e93ab5468;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("bench");

struct Blob { words @0 :List(UInt64); }
