#pragma once

#include <cstdint>
#include <map>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "process/id.h"
#include "process/thing_id.h"
#include "sync/wait_graph.h"

namespace troupe::process {

// The things behind all handles of the tree, in root: their memory, and who uses them under which slot. When a user ends, root puts
// in order what it left in the memory, before anybody hears of the end. A thing that nobody uses or keeps is gone, with its memory;
// whoever uses the other end of that pipe is told.
//
// What holds: a slot is given out again only when the memory is recovered from its last user. A thing whose memory was overwritten stays
// open to its users, but all of them get errors, also those that sleep there; nobody else may open it. A user that finds out says so, and
// root finds out when a user has ended. It says it again at each end, for whoever overwrites memory may go on while it lives.
//
// Threads: confined to root's one.
class Things {
 public:
  // Its maker is its first user, in slot 0.
  // `first` is the other end of a pipe, if that was made before. Throws ProtocolError for a number that is taken, or what is no shared
  // memory, or no socket of packets.
  void create(ThingId id, ThingKind kind, os::Descriptor memory, Serial maker, ThingId first = 0, os::Descriptor socket = {});

  [[nodiscard]] bool has(ThingId id) const { return things_.contains(id); }
  // Why it cannot be opened; null if it can.
  [[nodiscard]] const char* why_not(ThingId id) const;
  struct Opened {
    std::uint32_t slot;
    const os::Descriptor& memory;
    const os::Descriptor& socket;  // if it has one
  };
  // One more use of it by `user`, who keeps its slot as long as it has any. Only if there is no why_not(). Throws SystemError when
  // all slots are taken, ProtocolError when the memory was overwritten.
  Opened open(ThingId id, Serial user);
  // One use less, by a user that lives.
  void close(ThingId id, Serial user);

  // Nobody is to do anything about a thing that it does not use: who does use it could as well write to its memory. These throw
  // ProtocolError. A thing that is not there is no matter.
  void require_use(ThingId thing, Serial user) const;
  // Or the other end of that pipe.
  void require_side(ThingId end, Serial user) const;

  // A user found its memory overwritten.
  void found_broken(ThingId id);

  // Handles in an item belong to the queue: they are kept until the item is over, or the queue is gone. When a user has died, the
  // queue tells whether what it was putting or taking is in it.
  void lay(ThingId queue, Ticket item, ThingId held);
  void over(ThingId queue, Ticket item);
  // Handles that lie in a pipe: `held` is kept as long as `holder`, the receiving end, is there.
  void keep(ThingId holder, ThingId held);
  // Or until this was said as often; it may be said first.
  void unkeep(ThingId holder, ThingId held);
  // Handles in a message to a process: the thing is kept until it has arrived there as often as it was given, whichever is said first,
  // or until nobody gets it any more.
  void give(ProcessId to, ThingId thing);
  void arrived(ProcessId at, ThingId thing);
  void drop_given(ProcessId to);
  // Whether something has arrived more often than it was given. Once all that was sent to root is read, that was no matter of order: who
  // reads a message twice says so twice.
  [[nodiscard]] bool has_early() const { return !early_.empty(); }
  void forget_early();
  // A handle is on its way to somebody who does not live yet: it is kept until let_go().
  bool hold(ThingId id);  // false if it is not there
  void let_go(ThingId id);

  // How a process has ended: it has done all its work, or else it died.
  struct End {
    bool finished;
    std::string_view name;
    bool lives = false;  // it is done with this thing, that is all
  };
  // All that it used, it uses no more. What it put into queues counts as far as it is in there.
  void ended(Serial user, const End& end);

  // The processes that wait for one another's locks in a circle now. Their serials are waiter and holder.
  [[nodiscard]] std::vector<sync::Circle> circles() const;

  [[nodiscard]] std::size_t size() const { return things_.size(); }

 private:
  struct User {
    Serial serial = 0;  // 0: nobody
    std::uint32_t uses = 0;
    bool unrecovered = false;  // of its last user, as far as is known
  };
  using Counts = std::unordered_map<ThingId, std::int64_t>;  // how often
  struct Thing {
    ThingKind kind;
    os::Descriptor memory;
    std::vector<User> users;  // by slot
    std::uint32_t held = 0;
    Counts keeps;
    std::map<Ticket, std::vector<ThingId>> items;  // what lies in it
    ThingId other_end = 0;
    bool broken = false;
    os::Descriptor socket;
  };

  [[nodiscard]] static bool is_user(const Thing& thing, Serial user);
  [[nodiscard]] static bool is_free(const Thing& thing, std::uint32_t slot);
  static void recover(Thing& thing, std::uint32_t slot, const End& end);
  void break_for_good(ThingId id);
  void leave(ThingId id, Thing& thing, std::uint32_t slot, const End& end);
  static std::vector<ThingId> take_lost(Thing& thing, Serial producer);
  static void tell_other_end(const Thing& thing);
  std::int64_t count(Counts& keeps, ThingId held, int change);
  void drop_if_unused(std::unordered_map<ThingId, Thing>::iterator thing, std::vector<ThingId>& kept);

  std::unordered_map<ThingId, Thing> things_;
  std::unordered_multimap<Serial, ThingId> uses_;
  std::unordered_map<ProcessId, Counts> given_;
  std::vector<std::pair<ProcessId, ThingId>> early_;
};

}  // namespace troupe::process
