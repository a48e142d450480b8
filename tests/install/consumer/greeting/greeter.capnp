@0xc2f0a6d9b1e48375;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("greeting");
using import "/troupe/annotations.capnp".required;

struct GreeterArguments {
  whom @0 :Text $required;
}
