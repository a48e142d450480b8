#include "word_count/word_tally.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <stdexcept>
#include <utility>
#include <vector>

namespace troupe::actors {

namespace {

using Count = std::pair<std::string, std::uint64_t>;

// The first `top` of `counts`, most frequent first and then by word, byte by byte.
std::vector<Count> most_frequent(const std::unordered_map<std::string, std::uint64_t>& counts, std::size_t top) {
  std::vector<Count> sorted(std::min(top, counts.size()));
  std::partial_sort_copy(counts.begin(), counts.end(), sorted.begin(), sorted.end(), [](const auto& a, const auto& b) {
    return a.second != b.second ? a.second > b.second : a.first < b.first;
  });
  return sorted;
}

}  // namespace

WordTally::WordTally(Context& context, WordTallyArguments::Reader arguments) : Actor(context), top_(arguments.getTop()) {
  on<Counts, CountsTaken>([this](Counts::Reader counts, CountsTaken::Builder) { take(counts); });
  on<Finish, Finished>([this](Finish::Reader finish, Finished::Builder finished) {
    finished.setComplete(finish.getRun() == run_ ? finish.getChunks() == chunks_.size() : finish.getChunks() == 0);
    if (!finished.getComplete()) return;
    print(finish);
    stop();
  });
}

void WordTally::take(Counts::Reader counts) {
  const auto id = counts.getId();
  if (id.getRun() < run_) return;
  if (id.getRun() > run_) {
    run_ = id.getRun();
    chunks_.clear();
    counts_.clear();
  }
  if (!chunks_.insert(id.getNumber()).second) return;  // its first counter died after we had its counts
  for (const auto entry : counts.getWords()) counts_[std::string(entry.getWord())] += entry.getCount();
}

void WordTally::print(Finish::Reader finish) const {
  for (const auto& [word, count] : most_frequent(counts_, top_)) fmt::print("{}\t{}\n", count, word);
  if (std::fflush(stdout) != 0) throw std::runtime_error("cannot write the counts to standard output");
  std::uint64_t words = 0;
  for (const auto& [word, count] : counts_) words += count;
  const std::string left_out = finish.getUnreadable() ? fmt::format(", {} files left out", finish.getUnreadable()) : "";
  fmt::print(stderr, "{}{} words, {} different, in {} files of {:.1f} MB{}\n", isatty(STDERR_FILENO) ? "\r\033[K" : "", words,
             counts_.size(), finish.getFiles(), static_cast<double>(finish.getBytes()) / 1e6, left_out);
}

}  // namespace troupe::actors
