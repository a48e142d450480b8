#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include <troupe/death.h>

#include "process/client.h"
#include "process/id.h"
#include "transport/link.h"

namespace troupe::process {

// Who is called what. A value that knows no sockets: every change yields the answers that it makes possible.
//
//     names.declare("tally", {});
//     names.look_up("tally", {counter, 1});            // nothing yet
//     for (auto& answer : names.register_name("tally", place)) send(answer);
//
// A declared name is waited for until it is withdrawn; when its process ends it waits for the next one. Any other name lives as
// long as its process; who asks for it later hears how that ended.
//
// Threads: a value.
class Names {
 public:
  struct Asker {
    ProcessId process;
    std::uint64_t question;
  };
  struct Answer {
    Asker to;
    std::optional<Address> place;  // none: `why`
    transport::LinkOptions options;
    Death why;
  };
  using Answers = std::vector<Answer>;

  void declare(const std::string& name, const transport::LinkOptions& options);
  Answers withdraw(const std::string& name, const Death& why);
  // No name is waited for any more; those that are there stay as long as their processes.
  Answers withdraw_all(const Death& why);
  // The last to register has the name. Nobody (generation 0) gives it back: the next one is waited for.
  Answers register_name(const std::string& name, const Address& place);
  Answers look_up(const std::string& name, const Asker& asker);
  // Takes the names of a process that ended, and forgets what it asked.
  void ended(ProcessId process, const Death& death);

  static constexpr std::size_t kNamesMax = 65536;     // undeclared ones; more are refused as unknown
  static constexpr std::size_t kNameSizeMax = 1024;   // bytes; longer ones break the protocol
  static constexpr std::size_t kDeadNamesMax = 1024;  // so many undeclared ones are remembered whose process has ended
  static constexpr std::size_t kAskersMax = 16384;    // who wait for one name
  static constexpr std::size_t kAskersOfOneMax = 256;  // the same, of one process: then its oldest has most likely given up

 private:
  struct Entry {
    bool declared = false;
    transport::LinkOptions options;
    std::optional<Address> place;
    std::optional<Death> death;  // why there is no place, and none to wait for
    std::vector<Asker> waiting;
  };
  static Answer answer_of(const Entry& entry, const Asker& asker);
  static Answers answer_all(Entry& entry);

  std::unordered_map<std::string, Entry> names_;
  std::deque<std::string> dead_;  // undeclared, oldest first
};

}  // namespace troupe::process
