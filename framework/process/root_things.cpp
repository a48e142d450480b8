// What clients ask of root about the things behind handles.

#include <algorithm>
#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "process/packet.h"
#include "process/root_loop.h"

namespace troupe::process {

namespace {

constexpr Duration kCircleDelay = std::chrono::milliseconds(50);

std::vector<ThingId> read(capnp::List<std::uint64_t>::Reader list) {
  if (list.size() > kThingsMax) throw ProtocolError("too many handles");
  std::vector<ThingId> things;
  for (const ThingId thing : list) things.push_back(thing);
  return things;
}

}  // namespace

void RootLoop::handle(Process& client, control::ThingRequest::Reader request, std::vector<os::Descriptor> descriptors) {
  using control::ThingRequest;
  switch (request.which()) {
    case ThingRequest::CREATE: {
      const auto create = request.getCreate();
      const auto kind = static_cast<ThingKind>(create.getKind());
      if (static_cast<Serial>(create.getId() >> 32) != client.serial) throw ProtocolError("not a number to give");
      if (kind < ThingKind::queue || kind > ThingKind::second_end) throw ProtocolError("unknown kind of thing");
      return things_.create(create.getId(), kind, descriptors.empty() ? os::Descriptor() : std::move(descriptors.front()),
                            client.serial);
    }
    case ThingRequest::OPEN: return open_thing(client, request.getOpen());
    case ThingRequest::CLOSE: return things_.close(request.getClose(), client.serial);
    case ThingRequest::KEEP:
      for (const ThingId held : read(request.getKeep().getHeld())) things_.keep(request.getKeep().getHolder(), held);
      return;
    case ThingRequest::GIVE:
      if (const Process* receiver = roster_.by_id(request.getGive().getTo()))
        for (const ThingId thing : read(request.getGive().getGiven())) things_.give(receiver->serial, thing);
      return;
    case ThingRequest::ARRIVED:
      if (const Process* receiver = roster_.by_id(request.getArrived().getAt()))
        for (const ThingId thing : read(request.getArrived().getGone())) things_.arrived(receiver->serial, thing);
      return;
    case ThingRequest::WAITS: return look_for_circles();
    case ThingRequest::UNKEEP:
      for (const ThingId held : read(request.getUnkeep().getHeld())) things_.unkeep(request.getUnkeep().getHolder(), held);
      return;
    case ThingRequest::GRANT: return grant(client, request.getGrant().getTo(), read(request.getGrant().getThings()));
  }
  throw ProtocolError("unknown request");
}

// A moment later: who has just told that it waits is waiting again then, and seen to.
void RootLoop::look_for_circles() {
  if (circle_timer_ != 0) return;
  circle_timer_ = timers_.at(Clock::now() + kCircleDelay, [this] {
    circle_timer_ = 0;
    auto circles = things_.circles();
    for (sync::Circle& circle : circles) {
      for (sync::Edge& edge : circle) edge.since = 0;  // they look up from time to time
      if (std::ranges::find(circles_, circle) == circles_.end()) report(circle);
    }
    circles_ = std::move(circles);
  });
}

void RootLoop::report(const sync::Circle& circle) {
  std::string line = "troupe: deadlock:";
  for (const sync::Edge& edge : circle) {
    const Process* waiter = roster_.by_serial(static_cast<Serial>(edge.waiter));
    const Process* holder = roster_.by_serial(static_cast<Serial>(edge.holder));
    if (!waiter || !holder) return;
    line += fmt::format("{} `{}` waits for a lock that `{}` holds", &edge == circle.data() ? "" : ",", waiter->name, holder->name);
  }
  say(line + '\n');
}

void RootLoop::open_thing(Process& client, ThingId id) {
  Outgoing<control::Notice> notice;
  auto opened = notice->initOpened();
  opened.setThing(id);
  std::vector<os::Descriptor> descriptors;
  // The handle came another way, and its making may lie in its maker's socket still.
  // (Not of one that is read on already, nor the asker's own: nobody is to nest these as deep as he likes.)
  Process* maker = roster_.by_serial(static_cast<Serial>(id >> 32));
  if (maker != &client && !std::exchange(reads_on_, true)) {
    for (int i = 0; maker && maker->socket && i < kLastWordsMax && !things_.has(id) && serve(*maker); ++i) {
    }
    reads_on_ = false;
  }
  if (const char* why = things_.why_not(id)) {
    opened.setWhy(why);
    return tell(client, notice.bytes());
  }
  try {
    const auto access = things_.open(id, client.serial);
    opened.setSlot(access.slot);
    try {
      descriptors.push_back(access.memory.duplicate());
    } catch (...) {
      things_.close(id, client.serial);
      throw;
    }
  } catch (const std::runtime_error& error) {
    opened.setWhy(error.what());
  }
  tell(client, notice.bytes(), std::move(descriptors));
}

// They are kept until that process was started, or its starter is dead.
void RootLoop::grant(Process& client, ProcessId to, const std::vector<ThingId>& things) {
  if (starter_of(to) != client.serial || roster_.by_id(to)) throw ProtocolError("not about to be started by it");
  grant(to, things);
}

void RootLoop::grant(ProcessId to, const std::vector<ThingId>& things) {
  if (things.empty()) return;
  auto& grants = grants_[to];
  for (const ThingId thing : things) {
    if (std::find(grants.begin(), grants.end(), thing) != grants.end()) continue;  // in two of its arguments
    things_.hold(thing);
    grants.push_back(thing);
  }
}

// Before it is forked. Throws SystemError when that cannot be.
void RootLoop::give_things(Process& process) {
  const auto found = grants_.find(process.id);
  if (found == grants_.end()) return;
  for (const ThingId thing : found->second) {
    if (const char* why = things_.why_not(thing)) throw SystemError(ENOENT, why);
    const auto access = things_.open(thing, process.serial);
    process.granted.push_back({thing, access.slot, access.memory.get()});
  }
  for (const ThingId thing : found->second) things_.let_go(thing);
  grants_.erase(found);
}

// When it has ended, or was not started after all.
void RootLoop::take_things(const Process& process, bool finished) {
  things_.ended(process.serial, {finished, process.name});
  std::erase_if(grants_, [&](const auto& grant) {
    if (grant.first != process.id && starter_of(grant.first) != process.serial) return false;
    for (const ThingId thing : grant.second) things_.let_go(thing);
    return true;
  });
}

}  // namespace troupe::process
