#include "process/things.h"

#include <sys/stat.h>

#include <algorithm>
#include <exception>
#include <set>
#include <utility>

#include <troupe/errors.h>

#include "os/memory.h"
#include "os/socket.h"
#include "pipe/recover.h"
#include "queue/recover.h"
#include "queue/tickets.h"
#include "sync/barrier.h"
#include "sync/recover.h"

namespace troupe::process {

namespace {

os::Mapping map(const os::Descriptor& memory) {
  const auto size = os::shared_memory_size(memory);
  if (!size) throw ProtocolError("not shared memory");
  return {memory, *size};
}

bool is_same(const os::Descriptor& one, const os::Descriptor& other) {
  struct stat first {};
  struct stat second {};
  if (::fstat(one.get(), &first) != 0 || ::fstat(other.get(), &second) != 0) return false;
  return first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

bool is_end(ThingKind kind) { return kind == ThingKind::first_end || kind == ThingKind::second_end; }
pipe::Side side_of(ThingKind kind) { return kind == ThingKind::first_end ? pipe::Side::first : pipe::Side::second; }

// Without the area of its blocks.
os::Mapping map_pipe(const os::Descriptor& memory) {
  const auto size = os::shared_memory_size(memory);
  if (!size || *size < pipe::kPipeHeaderSize) throw ProtocolError("not a pipe");
  const os::Mapping header(memory, pipe::kPipeHeaderSize);
  const std::size_t control = pipe::control_size(pipe::shape_of(header.bytes()));
  if (*size < control) throw ProtocolError("not a pipe");
  return {memory, control};
}

// A party from the start: it may die before its first wait(), and the others would wait for ever.
void enlist(const os::Descriptor& memory, std::uint32_t slot) {
  const os::Mapping mapping = map(memory);
  if (sync::shape_of(mapping.bytes()).kind == sync::Kind::barrier)
    sync::Barrier(mapping.bytes(), shared::kRootSlot).enlist(slot);
}

}  // namespace

void Things::create(ThingId id, ThingKind kind, os::Descriptor memory, Serial maker, ThingId first, os::Descriptor socket) {
  if (!memory || !os::shared_memory_size(memory)) throw ProtocolError("a thing without shared memory");
  if (socket && (!is_end(kind) || os::socket_kind(socket) != os::SocketKind::packets))
    throw ProtocolError("a thing with a descriptor that it cannot have");
  const auto other = things_.find(first);
  if (first != 0) {
    if (other == things_.end() || kind != ThingKind::second_end || other->second.kind != ThingKind::first_end ||
        other->second.other_end != 0 || !is_same(memory, other->second.memory))
      throw ProtocolError("not an end of that pipe");
    other->second.other_end = id;
  }
  const auto [place, is_new] = things_.try_emplace(id, Thing{.kind = kind, .memory = std::move(memory)});
  if (!is_new) throw ProtocolError("a thing of this number is there");
  place->second.users.push_back({.serial = maker, .uses = 1});
  place->second.other_end = first;
  place->second.socket = std::move(socket);
  uses_.emplace(maker, id);
}

const char* Things::why_not(ThingId id) const {
  const auto found = things_.find(id);
  if (found == things_.end()) return "what this handle stands for is gone: its last user has ended or dropped it";
  const Thing& thing = found->second;
  if (thing.broken) return "the shared memory of what this handle stands for was overwritten";
  return nullptr;
}

Things::Opened Things::open(ThingId id, Serial user) {
  Thing& thing = things_.at(id);
  const auto mine = std::ranges::find(thing.users, user, &User::serial);
  if (mine != thing.users.end()) {
    ++mine->uses;
    return {static_cast<std::uint32_t>(mine - thing.users.begin()), thing.memory, thing.socket};
  }
  std::uint32_t slot = 0;
  while (slot < thing.users.size() && !is_free(thing, slot)) ++slot;
  if (slot == kThingUsersMax) throw SystemError(EUSERS, "what a handle stands for is used by 256 processes at most");
  if (slot == thing.users.size()) thing.users.emplace_back();
  if (thing.kind == ThingKind::primitive) {
    try {
      enlist(thing.memory, slot);
    } catch (const ProtocolError&) {
      thing.broken = true;
      throw;
    }
  }
  thing.users[slot] = {.serial = user, .uses = 1};
  uses_.emplace(user, id);
  return {slot, thing.memory, thing.socket};
}

void Things::close(ThingId id, Serial user) {
  const auto found = things_.find(id);
  if (found == things_.end()) throw ProtocolError("a thing that is not there");
  Thing& thing = found->second;
  const auto mine = std::ranges::find(thing.users, user, &User::serial);
  if (mine == thing.users.end()) throw ProtocolError("a thing that it does not use");
  if (--mine->uses > 0) return;
  const auto [first, last] = uses_.equal_range(user);
  uses_.erase(std::find_if(first, last, [&](const auto& use) { return use.second == id; }));
  leave(id, thing, static_cast<std::uint32_t>(mine - thing.users.begin()), {.finished = true, .name = {}, .lives = true});
}

bool Things::is_user(const Thing& thing, Serial user) {
  return std::ranges::find(thing.users, user, &User::serial) != thing.users.end();
}

void Things::require_use(ThingId thing, Serial user) const {
  const auto found = things_.find(thing);
  if (found != things_.end() && !is_user(found->second, user)) throw ProtocolError("a handle of what it does not use");
}

void Things::require_side(ThingId end, Serial user) const {
  const auto found = things_.find(end);
  if (found == things_.end() || is_user(found->second, user)) return;
  const auto other = things_.find(found->second.other_end);
  if (other == things_.end() || !is_user(other->second, user)) throw ProtocolError("a pipe that it does not use");
}

void Things::lay(ThingId queue, Ticket item, ThingId held) {
  const auto found = things_.find(queue);
  if (found != things_.end() && queue != held && hold(held)) found->second.items[item].push_back(held);
}

void Things::over(ThingId queue, Ticket item) {
  const auto found = things_.find(queue);
  if (found == things_.end()) return;
  const auto over = found->second.items.extract(item);
  if (!over) return;
  for (const ThingId held : over.mapped()) let_go(held);
}

void Things::keep(ThingId holder, ThingId held) {
  const auto found = things_.find(holder);
  if (found != things_.end() && holder != held) count(found->second.keeps, held, +1);
}

void Things::unkeep(ThingId holder, ThingId held) {
  const auto found = things_.find(holder);
  if (found != things_.end() && holder != held) count(found->second.keeps, held, -1);
}

void Things::give(ProcessId to, ThingId thing) { count(given_[to], thing, +1); }

void Things::arrived(ProcessId at, ThingId thing) {
  if (count(given_[at], thing, -1) < 0) early_.emplace_back(at, thing);
}

void Things::drop_given(ProcessId to) {
  const auto given = given_.extract(to);
  if (!given) return;
  for (const auto& [id, times] : given.mapped())
    if (times > 0) let_go(id);
}

void Things::forget_early() {
  for (const auto& [process, thing] : early_) {
    const auto given = given_.find(process);
    if (given == given_.end()) continue;
    const auto entry = given->second.find(thing);
    if (entry != given->second.end() && entry->second < 0) given->second.erase(entry);
  }
  early_.clear();
}

std::int64_t Things::count(Counts& keeps, ThingId held, int change) {
  if (!things_.contains(held)) return 0;
  const auto times = keeps[held] += change;
  if (times == 1 && change > 0) hold(held);
  if (times != 0) return times;
  keeps.erase(held);
  if (change < 0) let_go(held);
  return 0;
}

bool Things::hold(ThingId id) {
  const auto found = things_.find(id);
  if (found != things_.end()) ++found->second.held;
  return found != things_.end();
}

// One thing may have kept another, and that the next: not one call inside of the other, but one after the other.
void Things::let_go(ThingId id) {
  std::vector<ThingId> ids{id};
  while (!ids.empty()) {
    const auto found = things_.find(ids.back());
    ids.pop_back();
    if (found == things_.end() || found->second.held == 0) continue;
    --found->second.held;
    drop_if_unused(found, ids);
  }
}

void Things::ended(Serial user, const End& end) {
  const auto [first, last] = uses_.equal_range(user);
  std::vector<ThingId> ids;
  for (auto use = first; use != last; ++use) ids.push_back(use->second);
  uses_.erase(first, last);
  // Before the ends that they go over: see recover_blocks().
  std::partition(ids.begin(), ids.end(), [&](ThingId id) { return things_.at(id).kind == ThingKind::blocks; });
  for (const ThingId id : ids) {
    Thing& thing = things_.at(id);
    const auto mine = std::ranges::find(thing.users, user, &User::serial);
    leave(id, thing, static_cast<std::uint32_t>(mine - thing.users.begin()), end);
  }
}

std::vector<sync::Circle> Things::circles() const {
  std::vector<os::Mapping> mappings;
  std::vector<sync::LockUsers> locks;
  for (const auto& [id, thing] : things_) {
    if (thing.kind != ThingKind::primitive || thing.broken || thing.users.size() < 2) continue;
    try {
      const auto& mapping = mappings.emplace_back(map(thing.memory));
      const auto lock = sync::lock_in(mapping.bytes());
      if (!lock) continue;
      auto& users = locks.emplace_back(sync::LockUsers{id, *lock, {}});
      for (const User& user : thing.users) users.processes.push_back(user.serial);
    } catch (const std::exception&) {  // overwritten, or too large to be mapped: its users find out
    }
  }
  return sync::circles_among(locks);
}

void Things::leave(ThingId id, Thing& thing, std::uint32_t slot, const End& end) {
  const Serial user = std::exchange(thing.users[slot], {}).serial;
  recover(thing, slot, end);
  if (thing.broken) break_for_good(id);
  std::vector<ThingId> kept;
  if (!end.lives) kept = take_lost(thing, user);
  drop_if_unused(things_.find(id), kept);
  for (const ThingId each : kept) let_go(each);
}

// The handles in items that the one who is gone was about to put, but did not.
std::vector<ThingId> Things::take_lost(Thing& thing, Serial producer) {
  std::set<Ticket> sought;
  for (auto item = thing.items.lower_bound(Ticket{producer} << 32); item != thing.items.end() && item->first >> 32 == producer; ++item)
    sought.insert(item->first);
  std::vector<ThingId> held;
  if (sought.empty() || thing.broken) return held;
  try {
    for (const Ticket lost : queue::tickets_lost(queue::QueueMemory(thing.memory.duplicate()), std::move(sought))) {
      const auto item = thing.items.extract(lost);
      held.insert(held.end(), item.mapped().begin(), item.mapped().end());
    }
  } catch (const std::exception&) {  // overwritten, or no memory to look: they go with the queue
  }
  return held;
}

// What it kept goes on the list of what is to be let go.
void Things::drop_if_unused(std::unordered_map<ThingId, Thing>::iterator thing, std::vector<ThingId>& kept) {
  const bool is_used = std::ranges::any_of(thing->second.users, [](const User& user) { return user.serial != 0; });
  if (is_used || thing->second.held > 0) return;
  tell_other_end(thing->second);
  for (const auto& [held, times] : thing->second.keeps) {
    if (times > 0) kept.push_back(held);
  }
  for (const auto& [item, held] : thing->second.items) kept.insert(kept.end(), held.begin(), held.end());
  things_.erase(thing);
}

// The last one's affairs are sometimes settled by a user who lives: see sync/guarded.h.
bool Things::is_free(const Thing& thing, std::uint32_t slot) {
  if (thing.users[slot].serial != 0) return false;
  if (!thing.users[slot].unrecovered) return true;
  try {
    return sync::recovered(map(thing.memory).bytes(), slot);
  } catch (const std::exception&) {
    return false;
  }
}

// And looks whether somebody has overwritten who holds its locks.
void Things::recover(Thing& thing, std::uint32_t slot, const End& end) {
  if (thing.broken) return;
  const auto is_user = [&](std::uint32_t each) { return each < thing.users.size() && thing.users[each].serial != 0; };
  try {
    if (is_end(thing.kind)) {
      const os::Mapping mapping = map_pipe(thing.memory);
      pipe::recover(mapping.bytes(), side_of(thing.kind), slot, thing.socket.get());
      pipe::check_locks(mapping.bytes(), side_of(thing.kind), is_user);
    } else if (thing.kind == ThingKind::blocks) {
      pipe::recover_blocks(map_pipe(thing.memory).bytes(), slot);
    } else if (thing.kind == ThingKind::queue) {
      const auto is_over = [&](Ticket item) { return !thing.items.contains(item); };
      const queue::QueueMemory memory(thing.memory.duplicate());
      queue::recover(memory, slot, {}, is_over);
      queue::check_locks(memory, is_user);
    } else {
      const os::Mapping mapping = map(thing.memory);
      sync::recover(mapping.bytes(), slot, end.finished ? sync::End::finished : sync::End::died, end.name);
      thing.users[slot].unrecovered = true;
      sync::check_locks(mapping.bytes(), is_user);
    }
  } catch (const std::exception&) {
    thing.broken = true;
  }
}

void Things::found_broken(ThingId id) {
  const auto found = things_.find(id);
  if (found == things_.end()) return;
  found->second.broken = true;
  break_for_good(id);
}

// Both ends of a pipe, or who waits at a condition for a lock that is another thing.
void Things::break_for_good(ThingId id) {
  Thing& thing = things_.at(id);
  try {
    if (is_end(thing.kind)) {
      pipe::break_for_good(thing.memory, thing.socket.get());
      const auto other = things_.find(thing.other_end);
      if (other != things_.end()) other->second.broken = true;
    } else if (thing.kind == ThingKind::queue) {
      queue::break_for_good(thing.memory);
    } else if (thing.kind == ThingKind::primitive) {
      sync::break_for_good(map(thing.memory).bytes());
    }
  } catch (const std::exception&) {  // no memory to look: its users find out by themselves
  }
  if (thing.kind != ThingKind::primitive) return;
  for (const auto& [each, other] : things_) {
    if (other.kind != ThingKind::primitive || other.broken) continue;
    try {
      sync::wake_all(map(other.memory).bytes());
    } catch (const std::exception&) {  // the same
    }
  }
}

void Things::tell_other_end(const Thing& thing) {
  if (!is_end(thing.kind)) return;
  try {
    pipe::end_gone(map_pipe(thing.memory).bytes(), side_of(thing.kind), thing.socket.get());
  } catch (const std::exception&) {  // those at the other end find out by themselves that it was overwritten
  }
}

}  // namespace troupe::process
