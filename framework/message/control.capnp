@0xe7a5036c4d1f29b8;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("troupe::message");

# What nodes tell one another about actors, besides the users' own messages.

# How the life of an actor ended: troupe::Death.
struct DeathRecord {
  cause @0 :UInt8;
  code @1 :Int32;
  detail @2 :Text;
}

# Why an actor that lives gave no answer.
struct Refusal {
  why @0 :Text;
}
