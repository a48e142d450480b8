@0xf27c1d80a94be635;
# What the example supervised_worker says.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("supervised_worker");

struct Begin {}

struct Life {
  number @0 :UInt32;
}
