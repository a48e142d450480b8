@0xd8a1f3b60c7e2945;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("numbers");
using Troupe = import "/troupe/annotations.capnp";

struct DrawerArguments {
  count @0 :UInt32 $Troupe.required;       # `args = { count = 10 }`
  adder @1 :Text = "adder" $Troupe.actor;  # a process of the file: checked before anything starts
}

struct Add {
  amount @0 :Int64;
}
struct Finish {}
struct Total {
  value @0 :Int64;
}
