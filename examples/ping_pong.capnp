@0x8e5b1d7f40c6a293;

struct Ball { hit @0 :UInt32; }
