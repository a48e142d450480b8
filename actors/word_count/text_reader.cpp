#include "word_count/text_reader.h"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <utility>

namespace troupe::actors {

namespace {

using namespace std::chrono_literals;

// Higher than that of every reader before, in this boot.
std::uint64_t first_run() { return static_cast<std::uint64_t>(Clock::now().time_since_epoch().count()); }

}  // namespace

TextReader::TextReader(Context& context, TextReaderArguments::Reader arguments)
    : Actor(context),
      path_(arguments.getPath().cStr()),
      tally_name_(arguments.getTally().cStr()),
      chunk_size_(arguments.getChunkSize()),
      source_(path_, chunk_size_),
      run_(first_run()) {
  on<NextChunk, Chunk>([this](NextChunk::Reader request, Responder<Chunk> reply) {
    give({Address(request.getCounter()), std::move(reply)});
  });
  on<ChunkDone>([this](ChunkDone::Reader message) { done(message.getId()); });
  if (isatty(STDERR_FILENO)) every(100ms, [this] { show_progress(); });
  find_tally();
}

// ---- the tally

void TextReader::find_tally() {
  look_up(tally_name_).then([this](const Address& tally) {
    tally_ = tally;
    monitor(tally, [this](const Death&) { begin_anew(); });
    finish_if_done();
  });
}

// The tally has lost the counts of this run.
void TextReader::begin_anew() {
  if (ended_) return;
  ++run_;
  source_ = TextSource(path_, chunk_size_);
  chunks_ = 0;
  all_read_ = finishing_ = false;
  tally_ = Address();
  handed_out_.clear();
  returned_.clear();
  give_all();
  find_tally();
}

void TextReader::finish_if_done() {
  if (!all_read_ || !handed_out_.empty() || !returned_.empty() || !tally_ || finishing_) return;
  finishing_ = true;
  ask<Finish, Finished>(tally_, [this](Finish::Builder finish) {
    finish.setRun(run_);
    finish.setChunks(chunks_);
    finish.setFiles(source_.files());
    finish.setBytes(source_.bytes_read());
    finish.setUnreadable(source_.unreadable());
  }).then([this](Finished::Reader finished) { finished.getComplete() ? end() : begin_anew(); },
          [](const Error&) { /* the monitor tells of its death, and then the reading begins anew */ });
}

void TextReader::end() {
  ended_ = true;
  for (Waiting& counter : waiting_) counter.reply.reply([](Chunk::Builder chunk) { chunk.setEnd(); });
  stop();
}

// ---- the counters

void TextReader::give(Waiting counter) {
  const Address address = counter.counter;
  if (monitored_.insert(address).second) monitor(address, [this, address](const Death&) { lost(address); });
  waiting_.push_back(std::move(counter));
  give_all();
}

void TextReader::give_all() {
  while (!waiting_.empty()) {
    std::optional<Work> work = next_work();
    if (!work) break;
    Waiting counter = std::move(waiting_.front());
    waiting_.pop_front();
    counter.reply.reply([&](Chunk::Builder chunk) {
      auto out = chunk.initWork();
      out.initId().setRun(run_);
      out.getId().setNumber(work->number);
      out.setText({reinterpret_cast<const capnp::byte*>(work->text.data()), work->text.size()});
    });
    handed_out_[work->number] = {std::move(work->text), counter.counter};
  }
  finish_if_done();
}

std::optional<TextReader::Work> TextReader::next_work() {
  if (!returned_.empty()) {
    auto node = returned_.extract(returned_.begin());
    return Work{node.key(), std::move(node.mapped())};
  }
  std::optional<std::string> text = source_.next();
  all_read_ = !text;
  if (!text) return std::nullopt;
  return Work{chunks_++, std::move(*text)};
}

void TextReader::done(ChunkId::Reader id) {
  if (id.getRun() != run_) return;
  handed_out_.erase(id.getNumber());
  returned_.erase(id.getNumber());  // its counter died right after the tally had its counts
  finish_if_done();
}

void TextReader::lost(const Address& counter) {
  monitored_.erase(counter);
  std::erase_if(waiting_, [&](const Waiting& waiting) { return waiting.counter == counter; });
  for (auto chunk = handed_out_.begin(); chunk != handed_out_.end();) {
    if (chunk->second.counter != counter) {
      ++chunk;
      continue;
    }
    returned_.emplace(chunk->first, std::move(chunk->second.text));
    chunk = handed_out_.erase(chunk);
  }
  give_all();
}

void TextReader::show_progress() const {
  std::fputs(fmt::format("\r{} of {} files, {:.1f} MB ", source_.files_read(), source_.files(),
                         static_cast<double>(source_.bytes_read()) / 1e6).c_str(), stderr);
}

}  // namespace troupe::actors
