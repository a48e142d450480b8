#include <fmt/format.h>
#include <troupe/errors.h>

#include <algorithm>

#include "node/core.h"

namespace troupe::node {

namespace {

// A closed link most often means that its process died, and the tree says so, with the cause; so long we wait for that.
constexpr auto kLostLinkGrace = std::chrono::milliseconds(500);
// The Deaths of so many processes are known without asking the tree.
constexpr std::size_t kDeadKnown = 1024;
// Taken at a time from a process that is gone.
constexpr std::size_t kLastFrames = 1024;

}  // namespace

Peer& Core::find_peer(std::uint64_t process) {
  auto& entry = peers_[process];
  if (!entry) entry = std::make_unique<Peer>(process, options_.link);
  last_peer_ = entry.get();
  return *entry;
}

// The link that we send over; made now if there is none. Null if that fails, most often for want of descriptors: `no_link` says why.
Link* Core::link_to(Peer& peer) try {
  if (peer.out) return peer.out;
  if (peer.process == self_) {
    auto [near, far] = transport::make_loopback(peer.options);
    Link& there = add_link(peer, std::move(far));
    try {
      return peer.out = &add_link(peer, std::move(near));
    } catch (...) {
      drop(there);
      throw;
    }
  }
  auto link = transport::make_link(peer.options);
  peer.out = &add_link(peer, std::move(link.ours));
  tree_.connect(peer.process, peer.options, std::move(link.theirs));
  return peer.out;
} catch (const SystemError& error) {
  peer.no_link = {Death::Cause::unreachable, 0, fmt::format("no link to it could be made: {}", error.what())};
  return nullptr;
}

Link& Core::add_link(Peer& peer, std::unique_ptr<transport::Transport> transport) {
  auto& link = *peer.links.emplace_back(std::make_unique<Link>(peer, ++links_made_, std::move(transport)));
  try {
    epoll_.add(link.transport().descriptor(), transport::Transport::kDescriptorEvents, 2 * link.id());
    if (const int lifeline = link.transport().lifeline(); lifeline >= 0) {
      epoll_.add(lifeline, transport::Transport::kLifelineEvents, 2 * link.id() + 1);
    }
  } catch (const SystemError&) {
    peer.links.pop_back();  // its descriptors close, and so leave the epoll
    throw;
  }
  links_.emplace(link.id(), &link);
  activate(link);
  return link;
}

void Core::activate(Link& link) {
  if (link.active || link.lost) return;
  link.active = true;
  link.transport().disarm();
  active_.push_back(&link);
}

// Forgets a link; bury() frees it, for it may be in use.
void Core::drop(Link& link) {
  link.lost = true;
  Peer& peer = link.peer();
  if (peer.out == &link) peer.out = nullptr;
  epoll_.remove(link.transport().descriptor());
  if (link.transport().lifeline() >= 0) epoll_.remove(link.transport().lifeline());
  links_.erase(link.id());
  dead_letter(link.owed_frames());
  release(std::exchange(link.waiters, {}), true);
  unpause(peer);
  // Nor does it know any more which of our mailboxes are full.
  slots_.for_each([&](detail::Cell& cell) { std::erase(cell.paused_processes, peer.process); });
  const auto at = std::ranges::find_if(peer.links, [&](const auto& owned) { return owned.get() == &link; });
  dead_links_.push_back(std::move(*at));
  peer.links.erase(at);
}

// What it said of its mailboxes is void.
void Core::unpause(Peer& peer) {
  for (auto& [slot, paused] : std::exchange(peer.paused, {})) {
    dead_letter(paused.held.size());
    release(std::move(paused.waiters), false);
  }
}

// Nonsense came: for those who wait for this process now, it is dead. The next message to it makes a new link.
void Core::poison(Link& link, const char* why) {
  if (link.lost) return;
  const std::uint64_t id = link.id();
  const Death death{Death::Cause::unreachable, 0, fmt::format("its link was dropped: {}", why)};
  drop(link);
  fail(questions_.select([&](const Question& question) { return question.link == id; }), death);
}

// The other side is gone, or has dropped the link.
void Core::closed(Link& link) {
  Question& grace = questions_.open(Question::Kind::lost_link);
  grace.target.process = link.peer().process;
  grace.link = link.id();
  questions_.set_deadline(grace, Clock::now() + kLostLinkGrace);
  link.may_rest = true;
  drop(link);
}

void Core::fail(const std::vector<std::uint64_t>& questions, const Death& death) {
  for (const std::uint64_t id : questions) {
    Question* question = questions_.find(id);
    if (!question || question->settled) continue;
    if (question->kind == Question::Kind::lost_link) {
      questions_.close(*question);
    } else if (question->kind != Question::Kind::timer) {
      settle(*question, Event{.what = Event::What::down, .death = death, .found = {}});
    }
  }
}

// What is wrong with an offer is the peer's affair: whoever sends over it sees it closed.
void Core::offered(std::uint64_t process, const transport::LinkOptions& options, std::vector<os::Descriptor> ends) try {
  Peer& from = find_peer(process);
  if (from.death || from.links.size() >= Peer::kLinksMax) return;
  Link& link = add_link(from, transport::join_link(options, std::move(ends)));
  if (!from.out) from.out = &link;
} catch (const ProtocolError&) {
} catch (const SystemError&) {
}

// A process that could not be reached now may be later.
void Core::down(std::uint64_t process, const Death& death) {
  Peer& peer = find_peer(process);
  if (process == self_ || peer.death) return;
  while (!peer.links.empty()) {
    Link& link = *peer.links.front();
    link.transport().hang_up();
    link.may_rest = true;
    while (!link.lost && drain(link, kLastFrames) != 0) push_owing();
    if (!link.lost) drop(link);
  }
  unpause(peer);
  if (death.cause != Death::Cause::unreachable) {
    peer.death = death;
    forget_oldest_dead(process);
  }
  slots_.for_each([&](detail::Cell& cell) {
    std::erase_if(cell.watchers, [&](const auto& watcher) { return watcher.process == process; });
    std::erase(cell.paused_processes, process);
  });
  peer.watching = 0;
  fail(questions_.select([&](const Question& question) {
    return question.target.process == process && question.kind != Question::Kind::name;
  }), death);
}

// Those who asked somebody that no link leads to.
std::size_t Core::fail_unreachable() {
  if (unreachable_.empty()) [[likely]] return 0;
  const auto all = std::exchange(unreachable_, {});
  for (const auto& [question, death] : all) fail({question}, death);
  return all.size();
}

void Core::forget_oldest_dead(std::uint64_t newest) {
  dead_processes_.push_back(newest);
  if (dead_processes_.size() <= kDeadKnown) return;
  auto node = peers_.extract(dead_processes_.front());
  dead_processes_.pop_front();
  if (last_peer_ == node.mapped().get()) last_peer_ = nullptr;
  dead_peers_.push_back(std::move(node.mapped()));
}

void Core::found(std::uint64_t question, const Address& address, const transport::LinkOptions& options) {
  Question* asked = questions_.find(question);
  if (!asked || asked->kind != Question::Kind::name || asked->settled) return;
  if (address.process != self_ && !peers_.contains(address.process)) find_peer(address.process).options = options;
  settle(*asked, Event{.what = Event::What::found, .death = {}, .found = address});
}

void Core::not_found(std::uint64_t question, const Death& why) {
  Question* asked = questions_.find(question);
  if (!asked || asked->kind != Question::Kind::name || asked->settled) return;
  settle(*asked, Event{.what = Event::What::down, .death = why, .found = {}});
}

void Core::over_budget() {
  slots_.for_each([this](detail::Cell& cell) {
    cell.over_budget = true;
    scheduler_.schedule(cell.shell);
  });
}

void Core::stop_requested() { stop_all(); }

}  // namespace troupe::node
