@0x9c4d7f20e1b35a86;
# What a topology file has to know of the fields of an actor's arguments beyond their types.
#
#     using Troupe = import "/troupe/annotations.capnp";
#     struct FetcherArguments {
#       url @0 :Text $Troupe.required;
#       patience @1 :Int64 = 5000000000 $Troupe.duration;   # patience = "1m30s"
#       cache @2 :UInt64 = 65536 $Troupe.size;              # cache = "64KiB"
#       sink @3 :Text = "log" $Troupe.actor;                # sink = "printer": there must be a process of that name
#     }

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("troupe::schema");

annotation required @0xa1f6c3d2e8b40751 (field) :Void;
# The file must give it.

annotation duration @0xb2e7d4c3f9a51862 (field) :Void;
# Of an integer of 64 bits: nanoseconds, given as a string with units.

annotation size @0xc3d8e5b40ab62973 (field) :Void;
# Of an integer of 64 bits: bytes, given as a string with a unit.

annotation actor @0xd4c9f6a51bc73a84 (field) :Void;
# Of text, or a list of texts: the name of a process of the file, whose actor look_up() finds. Also the default must be one;
# empty text is nobody.
