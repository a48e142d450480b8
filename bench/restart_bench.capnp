@0xd1a8c4f2937be605;

struct Crash {}
