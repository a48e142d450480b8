#include "word_count/word_counter.h"

#include <algorithm>
#include <string_view>
#include <unordered_map>

#include "word_count/text_source.h"

namespace troupe::actors {

namespace {

using WordCounts = std::unordered_map<std::string_view, std::uint64_t>;

WordCounts count_words(std::string_view text) {
  WordCounts counts;
  for (auto at = text.begin(); at != text.end();) {
    const auto begin = std::find_if(at, text.end(), is_letter);
    at = std::find_if_not(begin, text.end(), is_letter);
    if (begin != at) ++counts[{begin, at}];
  }
  return counts;
}

}  // namespace

WordCounter::WordCounter(Context& context, WordCounterArguments::Reader arguments)
    : Actor(context), reader_name_(arguments.getReader().cStr()), tally_name_(arguments.getTally().cStr()) {
  find_tally();
}

void WordCounter::find_tally() {
  look_up(tally_name_).then(
      [this](const Address& tally) {
        tally_ = tally;
        monitor(tally, [this](const Death&) { find_tally(); });
        if (!reader_) find_reader();
      },
      [this](const Error&) { stop(); });  // it has ended, so all is counted
}

void WordCounter::find_reader() {
  look_up(reader_name_).then(
      [this](const Address& reader) {
        reader_ = reader;
        next();
      },
      [this](const Error&) { stop(); });
}

void WordCounter::next() {
  ask<NextChunk, Chunk>(reader_, [this](NextChunk::Builder request) { self().write(request.initCounter()); })
      .then(
          [this](Chunk::Reader chunk) {
            if (chunk.isEnd()) return stop();
            next();
            count(chunk.getWork());
          },
          [this](const Error&) { find_reader(); });
}

void WordCounter::count(Chunk::Work::Reader work) {
  const auto text = work.getText().asChars();
  const WordCounts counts = count_words({text.begin(), text.size()});
  const std::uint64_t run = work.getId().getRun();
  const std::uint64_t number = work.getId().getNumber();
  ask<Counts, CountsTaken>(tally_, [&](Counts::Builder message) {
    message.initId().setRun(run);
    message.getId().setNumber(number);
    auto words = message.initWords(static_cast<unsigned>(counts.size()));
    unsigned i = 0;
    for (const auto& [word, count] : counts) {
      words[i].setWord({word.data(), word.size()});  // copied; needs no NUL
      words[i++].setCount(count);
    }
  }).then(
      [this, run, number](CountsTaken::Reader) {
        reader_.send<ChunkDone>([&](ChunkDone::Builder done) {
          done.initId().setRun(run);
          done.getId().setNumber(number);
        });
      },
      [](const Error&) { /* the reader sees the tally's death as well, and begins anew */ });
}

}  // namespace troupe::actors
