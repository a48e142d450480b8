@0xc5e1d80b47a3926f;

using Cxx = import "/capnp/c++.capnp";
using Troupe = import "/troupe/annotations.capnp";
$Cxx.namespace("troupe::test");

struct IdlerArguments {
  deaf @0 :Bool;  # does not stop when it is asked to
}

struct CrasherArguments {
  how @0 :How $Troupe.required;
  early @1 :Bool;  # before it is ready

  enum How {
    abort @0;
    exit @1;
    throw @2;
    succeed @3;
    hang @4;
  }
}

struct GreeterArguments {
  words @0 :Text = "hello";
  patience @1 :Int64 = 1000000000 $Troupe.duration;
}

struct AskerArguments {
  whom @0 :Text $Troupe.required;
}

struct Question {}
struct Answer {
  words @0 :Text;
}
