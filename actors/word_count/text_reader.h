#pragma once

#include <troupe/actor.h>

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "word_count/text_source.h"
#include "word_count/word_count.capnp.h"

namespace troupe::actors {

// Hands out the text of files in chunks to counters that ask for them, so that the slowest sets the pace.
//
// The chunks of a counter that dies go to another; when the tally dies, or when this reader is restarted, the reading begins anew
// under a higher run number. When every chunk is done it has the tally print, tells all counters and ends.
class TextReader : public Actor {
 public:
  // Throws ConfigError if there is nothing at the path.
  TextReader(Context& context, TextReaderArguments::Reader arguments);

 private:
  struct Work {
    std::uint64_t number;
    std::string text;
  };
  struct HandedOut {
    std::string text;
    Address counter;
  };
  struct Waiting {
    Address counter;
    Responder<Chunk> reply;
  };

  void find_tally();
  void begin_anew();
  void give(Waiting counter);
  void give_all();
  std::optional<Work> next_work();
  void done(ChunkId::Reader id);
  void lost(const Address& counter);
  void finish_if_done();
  void end();
  void show_progress() const;

  std::string path_;
  std::string tally_name_;
  std::size_t chunk_size_;
  TextSource source_;
  std::uint64_t run_;
  std::uint64_t chunks_ = 0;  // read in this run
  bool all_read_ = false;
  bool finishing_ = false;  // the tally was told to print
  bool ended_ = false;
  Address tally_;
  std::map<std::uint64_t, HandedOut> handed_out_;  // by chunk number, until done
  std::map<std::uint64_t, std::string> returned_;  // by chunk number, of counters that died
  std::deque<Waiting> waiting_;
  std::set<Address> monitored_;
};

}  // namespace troupe::actors
