@0xf3a90c6d82b7e514;

struct Item { number @0 :UInt32; text @1 :Text; }
struct Report {}
struct Summary { items @0 :UInt32; letters @1 :UInt64; }
