@0xe7a5036c4d1f29b8;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("troupe::message");

# What nodes tell one another about actors, besides the users' own messages.

# How the life of an actor or a process ended: troupe::Death. The same wherever it travels: see death_record.h.
struct DeathRecord {
  cause @0 :UInt8;
  code @1 :Int32;
  detail @2 :Text;
  time @3 :Int64;         # nanoseconds since the epoch; 0: not known
  restarts @4 :UInt32;
  message @5 :Text;
  stack @6 :List(Text);
  lastLines @7 :List(Text);
}

# Why an actor that lives gave no answer.
struct Refusal {
  why @0 :Text;
}
