#include <troupe/errors.h>

#include <algorithm>

#include "node/core.h"

namespace troupe::node {

using message::FrameHeader;
using message::Kind;

namespace {

// More than this no process has a use for.
constexpr std::size_t kWatchingMax = std::size_t{1} << 20;

}  // namespace

// Each frame is copied before it is looked at: its sender can write where it lies.
std::size_t Core::drain(Link& link, std::size_t max) try {
  std::size_t done = 0;
  for (; done < max && !link.lost; ++done) {
    const auto frame = link.peek();
    if (!frame) break;
    const FrameHeader header = message::read_header(*frame);
    const std::size_t words = header.bytes / sizeof(capnp::word);
    if (scratch_.size() < words) [[unlikely]] scratch_ = std::vector<capnp::word>(words);
    std::memcpy(scratch_.data(), frame->data() + sizeof header, header.bytes);
    link.release();
    message::with_body(header, scratch_.data(), [&](const detail::Body& body) { deliver(link, header, body); });
  }
  if (done == 0 && !link.lost && link.transport().closed()) closed(link);
  return done;
} catch (const ProtocolError& error) {
  poison(link, error.what());
  return 1;
}

void Core::deliver(Link& link, const FrameHeader& header, const detail::Body& body) {
  switch (header.kind) {
    case Kind::message:
    case Kind::request: return deliver_message(link.peer(), header, body);
    case Kind::reply:
    case Kind::refused:
    case Kind::down: return deliver_answer(link.peer(), header, body);
    case Kind::monitor: return add_watcher(link.peer(), header);
    case Kind::unmonitor: return remove_watcher(link.peer(), header);
    case Kind::pause: return pause(link.peer(), header);
    case Kind::resume: return resume(link.peer(), header);
  }
}

void Core::deliver_message(Peer& from, const FrameHeader& header, const detail::Body& body) {
  detail::Cell* cell = slots_.find(header.to_slot, header.to_generation);
  if (!cell) return deliver_to_dead(from, header);
  if (can_run(*cell)) [[likely]] {
    run(*cell, [&] { cell->handle(header, from.process, body); });
  } else {
    keep(*cell, Letter(header, from.process, body));
  }
}

void Core::deliver_to_dead(Peer& from, const FrameHeader& header) {
  if (header.kind == Kind::message) return dead_letter();
  answer_down(from.process, header.correlation, slots_.death_of(header.to_slot, header.to_generation));
}

// An actor that cannot be run now gets it later. When too much has gathered, those who send are told to hold on.
void Core::keep(detail::Cell& cell, Letter letter) {
  const std::uint64_t process = letter.process;
  const bool counts = !letter.event && letter.header.kind <= Kind::request;
  cell.mailbox.push_back(std::move(letter));
  if (counts && cell.mailbox.size() >= options_.mailbox_max) {
    cell.overfull = true;
    auto& paused = cell.paused_processes;
    if (std::ranges::find(paused, process) == paused.end()) {
      paused.push_back(process);
      const FrameHeader header{.kind = Kind::pause, .to_slot = cell.self.slot, .to_generation = cell.self.generation};
      send(process, header, message::kNothing, detail::WhenFull::wait);
    }
  }
  reconsider(cell);
}

void Core::mailbox_shrank(detail::Cell& cell) {
  if (!cell.overfull || cell.mailbox.size() > options_.mailbox_max / 2) return;
  cell.overfull = false;
  resume_senders(cell);
}

void Core::resume_senders(detail::Cell& cell) {
  const FrameHeader header{.kind = Kind::resume, .to_slot = cell.self.slot, .to_generation = cell.self.generation};
  for (const std::uint64_t process : std::exchange(cell.paused_processes, {})) {
    if (peers_.contains(process)) send(process, header, message::kNothing, detail::WhenFull::wait);
  }
}

// In pause and resume, `to` is the actor that the sender of the frame speaks of: one of its own.
void Core::pause(Peer& peer, const FrameHeader& header) {
  if (peer.paused.size() >= Peer::kPausedMax) throw ProtocolError("frame: too many actors paused");
  auto& paused = peer.paused[header.to_slot];
  if (paused.generation != header.to_generation) {  // its predecessor's are for nobody
    dead_letter(paused.held.size());
    release(std::exchange(paused.waiters, {}), false);
    paused = Peer::Paused{};
    paused.generation = header.to_generation;
  }
}

void Core::resume(Peer& peer, const FrameHeader& header) {
  const auto found = peer.paused.find(header.to_slot);
  if (found == peer.paused.end() || found->second.generation != header.to_generation) return;
  Peer::Paused paused = std::move(found->second);
  peer.paused.erase(found);
  for (KeptFrame& frame : paused.held) forward(peer.process, std::move(frame));
  release(std::move(paused.waiters), false);
}

void Core::add_watcher(Peer& peer, const FrameHeader& header) {
  if (peer.watching >= kWatchingMax) throw ProtocolError("frame: too many actors monitored");
  detail::Cell* cell = slots_.find(header.to_slot, header.to_generation);
  if (!cell) return answer_down(peer.process, header.correlation, slots_.death_of(header.to_slot, header.to_generation));
  cell->watchers.push_back({peer.process, header.correlation});
  ++peer.watching;
}

void Core::remove_watcher(Peer& peer, const FrameHeader& header) {
  detail::Cell* cell = slots_.find(header.to_slot, header.to_generation);
  if (!cell) return;
  peer.watching -= std::erase_if(cell->watchers, [&](const auto& watcher) {
    return watcher.process == peer.process && watcher.correlation == header.correlation;
  });
}

void Core::deliver_answer(Peer& from, const FrameHeader& header, const detail::Body& body) {
  Question* question = questions_.find(header.correlation);
  if (!question || question->settled) return;                                               // late
  if (question->target.process != from.process && from.process != self_) return;            // none of theirs
  const bool fits = question->kind == Question::Kind::ask || (question->kind == Question::Kind::monitor && header.kind == Kind::down);
  if (fits) settle(*question, header, from.process, body);
}

void Core::settle(Question& question, const FrameHeader& header, std::uint64_t process, const detail::Body& body) {
  if (question.owner.generation == 0) return answer(header, body);
  detail::Cell* cell = slots_.find(question.owner.slot, question.owner.generation);
  if (!cell) return close_question(question, false);
  if (can_run(*cell)) {
    run(*cell, [&] { answer(header, body); });
  } else {
    question.settled = true;
    questions_.drop_deadline(question);
    keep(*cell, Letter(header, process, body));
  }
}

void Core::settle(Question& question, Event event) {
  if (question.owner.generation == 0) return answer(question.id(), event);
  detail::Cell* cell = slots_.find(question.owner.slot, question.owner.generation);
  if (!cell) return close_question(question, false);
  if (can_run(*cell)) {
    run(*cell, [&, id = question.id()] { answer(id, event); });
  } else {
    question.settled = true;
    questions_.drop_deadline(question);
    keep(*cell, Letter(question.id(), std::move(event)));
  }
}

void Core::answer(const FrameHeader& header, const detail::Body& body) {
  if (header.kind == Kind::reply) return conclude(header.correlation, {.reply = &body, .error = nullptr, .found = {}});
  const Question* question = questions_.find(header.correlation);
  if (!question) return;
  if (header.kind == Kind::refused) {
    const RequestFailed error(question->unanswered() + ": " + message::read_refusal(body));
    return conclude(header.correlation, {.reply = nullptr, .error = &error, .found = {}});
  }
  const ActorDown error(question->unanswered(), message::read_death(body));
  conclude(header.correlation, {.reply = nullptr, .error = &error, .found = {}});
}

void Core::answer(std::uint64_t id, const Event& event) {
  Question* question = questions_.find(id);
  if (!question) return;
  switch (event.what) {
    case Event::What::timer: return tick(*question);
    case Event::What::found: return conclude(id, {.reply = nullptr, .error = nullptr, .found = event.found});
    case Event::What::late: {
      const TimeoutError error(question->asking.late(question->target, question->timeout));
      return conclude(id, {.reply = nullptr, .error = &error, .found = {}});
    }
    case Event::What::down: {
      const ActorDown error(question->unanswered(), event.death);
      return conclude(id, {.reply = nullptr, .error = &error, .found = {}});
    }
  }
}

// The question is closed before its answer is handled, which may ask others.
void Core::conclude(std::uint64_t id, const detail::Outcome& outcome) {
  Question* question = questions_.find(id);
  if (!question) return;
  auto then = std::move(question->then);
  const auto waiter = std::move(question->waiter);
  close_question(*question, false);
  if (waiter) waiter->settle(outcome);
  if (then) then(outcome);
}

void Core::tick(Question& question) {
  const std::uint64_t id = question.id();
  if (question.period == Duration{}) return conclude(id, {});
  auto then = std::move(question.then);
  then({});
  if (!questions_.find(id)) return;  // cancelled by what it called
  question.then = std::move(then);
  question.settled = false;
  const auto now = Clock::now();
  const auto next = question.deadline + question.period;
  questions_.set_deadline(question, next > now ? next : now + question.period);
}

}  // namespace troupe::node
