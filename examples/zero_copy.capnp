@0x8fd4b6a017c3e259;

struct Track {
  name   @0 :Text;
  points @1 :List(Float64);
}
