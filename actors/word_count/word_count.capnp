@0xb8f2c1d09a6e4f31;
# The words of files, counted by many: a reader hands out chunks of text to whoever asks, counters count the words of a chunk, and a
# tally takes the counts of each chunk once.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("troupe::actors");
using import "/troupe/address.capnp".Address;
using import "/troupe/annotations.capnp".actor;
using import "/troupe/annotations.capnp".required;
using import "/troupe/annotations.capnp".size;

struct TextReaderArguments {
  path @0 :Text $required;             # a file, or a folder to be read with all below it, links followed
  tally @1 :Text = "tally" $actor;     # takes the counts
  chunkSize @2 :UInt64 = 262144 $size; # of text; a chunk ends at the end of a word, so it may be somewhat larger
}

struct WordCounterArguments {
  reader @0 :Text = "reader" $actor;
  tally @1 :Text = "tally" $actor;
}

struct WordTallyArguments {
  top @0 :UInt32 = 10;                 # how many words are printed
}

struct ChunkId {
  run @0 :UInt64;     # grows whenever the reading begins anew; counts of an older run are void
  number @1 :UInt64;  # from 0, within the run
}

struct NextChunk {
  # To the reader: give me work. The reply waits while all chunks are handed out but not all are done.
  counter @0 :Address;  # who will hold the chunk, and whose death gives it back
}

struct Chunk {
  union {
    work :group {
      id @0 :ChunkId;
      text @1 :Data;  # whole words only; the end of a file ends a word
    }
    end @2 :Void;     # nothing left to count
  }
}

struct ChunkDone {
  # To the reader: the tally has the counts of this chunk.
  id @0 :ChunkId;
}

struct Counts {
  # To the tally, which answers when it has taken them.
  id @0 :ChunkId;
  words @1 :List(Entry);

  struct Entry {
    word @0 :Text;
    count @1 :UInt64;
  }
}

struct CountsTaken {}

struct Finish {
  # To the tally: all chunks are done; print.
  run @0 :UInt64;
  chunks @1 :UInt64;
  files @2 :UInt64;
  bytes @3 :UInt64;
  unreadable @4 :UInt64;
}

struct Finished {
  complete @0 :Bool;  # false: the tally does not have the counts of every chunk, begin anew
}
