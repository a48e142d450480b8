@0xd6e0f1a38b52c947;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("troupe");

# The arguments of an actor that takes none.
struct ArgumentsNone {}
