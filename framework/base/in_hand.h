#pragma once

#include <atomic>
#include <cstring>

namespace troupe::base {

// What this process is at work on, for whoever finds out why it ended there: the type of a message, a name that stays where it is.
// Null between two. A handler of signals reads it.
extern std::atomic<const char*> in_hand;

// "file.capnp:Type" is told as "Type". Safe in a handler of signals.
inline const char* type_in(const char* name) {
  const char* colon = name ? std::strchr(name, ':') : nullptr;
  return colon ? colon + 1 : name;
}

// For as long as it lives, that is `what`.
class InHand {
 public:
  explicit InHand(const char* what) : before_(in_hand.load(std::memory_order_relaxed)) {
    in_hand.store(what, std::memory_order_relaxed);
  }
  ~InHand() { in_hand.store(before_, std::memory_order_relaxed); }
  InHand(const InHand&) = delete;
  InHand& operator=(const InHand&) = delete;

 private:
  const char* before_;
};

}  // namespace troupe::base
