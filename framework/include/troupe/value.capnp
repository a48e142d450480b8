@0xc5f2a7d9183e4b60;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("troupe::schema");

# Any C++ values, so that they can be a field of any message: what troupe::encode_values() gave. They name their types, and
# `troupe` shows them as text.
struct Value {
  bytes @0 :Data;
}
