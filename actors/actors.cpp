#include "actors.h"

#include "word_count/text_reader.h"
#include "word_count/word_counter.h"
#include "word_count/word_tally.h"

namespace troupe::actors {

void add_all(ActorCatalog& catalog) {
  catalog.add<TextReader, TextReaderArguments>("text_reader");
  catalog.add<WordCounter, WordCounterArguments>("word_counter");
  catalog.add<WordTally, WordTallyArguments>("word_tally");
}

}  // namespace troupe::actors
