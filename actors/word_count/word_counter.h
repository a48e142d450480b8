#pragma once

#include <troupe/actor.h>

#include <string>

#include "word_count/word_count.capnp.h"

namespace troupe::actors {

// Asks the reader for chunks of text, counts their words, hands the counts to the tally, and tells the reader when the tally has
// them. It asks for the next chunk before it counts the one in hand. It ends when the reader says so or has ended.
class WordCounter : public Actor {
 public:
  WordCounter(Context& context, WordCounterArguments::Reader arguments);

 private:
  void find_reader();
  void find_tally();
  void next();
  void count(Chunk::Work::Reader work);

  std::string reader_name_;
  std::string tally_name_;
  Address reader_;
  Address tally_;
};

}  // namespace troupe::actors
