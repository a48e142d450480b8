@0xb4a1c9e2d7f03658;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("troupe::schema");

# Where an actor can be reached, so that it can be a field of any message. All zero: nobody.
struct Address {
  process @0 :UInt64;
  slot @1 :UInt32;
  generation @2 :UInt32;
}
