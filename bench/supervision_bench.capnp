@0xb61e8d5a0c94f7e3;
using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("supervision_bench");

struct Who {}
struct Pid { value @0 :Int32; }
struct KillerArguments { kills @0 :Int32; }
