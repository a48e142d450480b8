// What clients ask of root about the things behind handles.

#include <algorithm>
#include <chrono>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "os/check_call.h"
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
    case ThingRequest::CREATE: return create_thing(client, request.getCreate(), std::move(descriptors));
    case ThingRequest::OPEN: return open_thing(client, request.getOpen());
    case ThingRequest::CLOSE: return things_.close(request.getClose(), client.serial);
    case ThingRequest::LAY: return lay(client, request.getLay());
    case ThingRequest::LAID: {
      Outgoing<control::Notice> notice;
      notice->setLaid(request.getLaid());
      return tell(client, notice.bytes());
    }
    case ThingRequest::OVER:
      things_.require_use(request.getOver().getFrom(), client.serial);
      for (const Ticket item : read(request.getOver().getItems())) things_.over(request.getOver().getFrom(), item);
      return;
    case ThingRequest::KEEP:
      things_.require_side(request.getKeep().getHolder(), client.serial);
      for (const ThingId held : read(request.getKeep().getHeld())) things_.keep(request.getKeep().getHolder(), held);
      return;
    case ThingRequest::GIVE: return give(client, request.getGive().getTo(), read(request.getGive().getGiven()));
    case ThingRequest::ARRIVED: return arrived(client, request.getArrived().getAt(), read(request.getArrived().getGone()));
    case ThingRequest::WAITS: return look_for_circles();
    case ThingRequest::BROKEN:
      things_.require_use(request.getBroken(), client.serial);
      return things_.found_broken(request.getBroken());
    case ThingRequest::UNKEEP:
      things_.require_side(request.getUnkeep().getHolder(), client.serial);
      for (const ThingId held : read(request.getUnkeep().getHeld())) things_.unkeep(request.getUnkeep().getHolder(), held);
      return;
    case ThingRequest::GRANT: return grant(client, request.getGrant().getTo(), read(request.getGrant().getThings()));
  }
  throw ProtocolError("unknown request");
}

void RootLoop::lay(Process& client, control::ThingRequest::Lay::Reader lay) {
  things_.require_use(lay.getQueue(), client.serial);
  if (lay.getTicket() >> 32 != client.serial) throw ProtocolError("not a ticket to give");
  for (const ThingId held : read(lay.getThings())) {
    things_.require_use(held, client.serial);
    things_.lay(lay.getQueue(), lay.getTicket(), held);
  }
}

// To one that lives, or whose start lies in its starter's socket still; then its starter remembers, in case that never comes.
void RootLoop::give(Process& client, ProcessId to, const std::vector<ThingId>& things) {
  for (const ThingId thing : things) things_.require_use(thing, client.serial);
  if (!roster_.by_id(to)) {
    Process* starter = starter_to_be(to);
    if (!starter || starter->early_given.size() >= kEarlyMax) return;
    starter->early_given.insert(count_of(to));
  }
  for (const ThingId thing : things) things_.give(to, thing);
}

// There; or whoever gave them takes them back.
void RootLoop::arrived(Process& client, ProcessId at, const std::vector<ThingId>& things) {
  const bool is_expected = roster_.by_id(at) || starter_to_be(at);
  for (const ThingId thing : things) {
    if (client.id != at) things_.require_use(thing, client.serial);
    if (is_expected) things_.arrived(at, thing);
  }
}

// Who may start that process yet; null if it was started, or never will be.
Process* RootLoop::starter_to_be(ProcessId process) const {
  Process* starter = roster_.by_serial(starter_of(process));
  return starter && !starter->dead && count_of(process) > starter->last_started ? starter : nullptr;
}

// Those given to processes up to this one, which do not live: they are not started any more.
void RootLoop::drop_early_given(Process& starter, std::uint32_t last) {
  auto& early = starter.early_given;
  while (!early.empty() && *early.begin() <= last) {
    const ProcessId id = make_id(starter.serial, *early.begin());
    early.erase(early.begin());
    if (!roster_.by_id(id)) things_.drop_given(id);
  }
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

void RootLoop::create_thing(Process& client, control::ThingRequest::Create::Reader create, std::vector<os::Descriptor> descriptors) {
  const auto kind = static_cast<ThingKind>(create.getKind());
  if (static_cast<Serial>(create.getId() >> 32) != client.serial) throw ProtocolError("not a number to give");
  if (kind < ThingKind::queue || kind > ThingKind::blocks) throw ProtocolError("unknown kind of thing");
  Outgoing<control::Notice> notice;
  auto opened = notice->initOpened();
  opened.setThing(create.getId());
  if (descriptors.size() < (create.getSocket() ? 2U : 1U)) {
    opened.setWhy("root has no descriptor left for what this handle stands for" + os::remedy(EMFILE));
  } else {
    auto socket = create.getSocket() ? std::move(descriptors[1]) : os::Descriptor();
    things_.create(create.getId(), kind, std::move(descriptors[0]), client.serial, create.getFirst(), std::move(socket));
  }
  tell(client, notice.bytes());
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
    opened.setOverwritten(things_.has(id));
    return tell(client, notice.bytes());
  }
  try {
    const auto access = things_.open(id, client.serial);
    opened.setSlot(access.slot);
    try {
      descriptors.push_back(access.memory.duplicate());
      if (access.socket) descriptors.push_back(access.socket.duplicate());
    } catch (...) {
      descriptors.clear();
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
  if (starter_of(to) != client.serial || count_of(to) <= client.last_started) throw ProtocolError("not about to be started by it");
  for (const ThingId thing : things) things_.require_use(thing, client.serial);
  grant(to, things);
}

void RootLoop::grant(ProcessId to, const std::vector<ThingId>& things) {
  if (things.empty()) return;
  auto& grants = grants_[to];
  for (const ThingId thing : things) {  // which may be in two of its arguments
    const auto [grant, is_new] = grants.try_emplace(thing, false);
    if (is_new) grant->second = things_.hold(thing);
  }
}

// Before it is forked. Throws SystemError when that cannot be.
void RootLoop::give_things(Process& process) {
  const auto found = grants_.find(process.id);
  if (found == grants_.end()) return;
  for (const auto& [thing, held] : found->second) {
    const char* why = held ? things_.why_not(thing) : "what this handle stands for was not there when it was granted";
    if (why) throw SystemError(ENOENT, why);
    const auto access = things_.open(thing, process.serial);
    process.granted.push_back({thing, access.slot, access.memory.get(), access.socket.get()});
  }
  let_go(found->second);
  grants_.erase(found);
}

// When it has ended, or was not started after all.
void RootLoop::take_things(Process& process, bool finished) {
  things_.ended(process.serial, {finished, process.name});
  things_.drop_given(process.id);
  drop_early_given(process, std::numeric_limits<std::uint32_t>::max());
  std::erase_if(grants_, [&](const auto& grant) {
    if (grant.first != process.id && starter_of(grant.first) != process.serial) return false;
    let_go(grant.second);
    return true;
  });
}

void RootLoop::let_go(const Grants& grants) {
  for (const auto& [thing, held] : grants)
    if (held) things_.let_go(thing);
}

}  // namespace troupe::process
