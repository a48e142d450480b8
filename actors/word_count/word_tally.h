#pragma once

#include <troupe/actor.h>

#include <cstdint>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "word_count/word_count.capnp.h"

namespace troupe::actors {

// Adds up the counts of chunks, each chunk once, and prints the most frequent words on standard output (`count<TAB>word`, most
// frequent first and then by word) and the totals on standard error.
class WordTally : public Actor {
 public:
  WordTally(Context& context, WordTallyArguments::Reader arguments);

 private:
  void take(Counts::Reader counts);
  void print(Finish::Reader finish) const;

  std::uint32_t top_;
  std::uint64_t run_ = 0;
  std::unordered_set<std::uint64_t> chunks_;  // taken in this run
  std::unordered_map<std::string, std::uint64_t> counts_;
};

}  // namespace troupe::actors
