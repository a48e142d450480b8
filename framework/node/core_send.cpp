#include "node/core.h"

#include <fmt/format.h>
#include <troupe/errors.h>

#include <algorithm>
#include <stdexcept>

namespace troupe::node {

using message::FrameHeader;
using message::Kind;

namespace {

// What a full mailbox, or a full link, holds back.
bool for_mailbox(Kind kind) { return kind <= Kind::request; }
bool is_control(Kind kind) { return kind >= Kind::monitor; }

}  // namespace

bool Core::send(std::uint64_t process, const FrameHeader& header, const detail::Payload& payload, detail::WhenFull when_full) {
  Peer& to = peer(process);
  sent_in_pass_ = true;
  if (!to.paused.empty() && for_mailbox(header.kind)) [[unlikely]] {
    const auto paused = to.paused.find(header.to_slot);
    if (paused != to.paused.end() && paused->second.generation == header.to_generation) {
      if (when_full == detail::WhenFull::tell) return false;
      hold(paused->second, KeptFrame(header, payload));
      return true;
    }
  }
  if (to.death) [[unlikely]] return to_nobody(header, *to.death);
  Link* link = to.out ? to.out : link_to(to);
  if (!link) [[unlikely]] return to_nobody(header, to.no_link);
  if (link->send(header, payload)) [[likely]] {
    mark_dirty(*link);
    return true;
  }
  if (when_full == detail::WhenFull::tell) return false;
  message::write_frame(owe(*link, header, message::frame_size(payload)), header, payload);
  return true;
}

// The same for a frame that a thread made which is no actor.
void Core::forward(std::uint64_t process, KeptFrame frame) {
  Peer& to = peer(process);
  sent_in_pass_ = true;
  if (to.death) return static_cast<void>(to_nobody(frame.header(), *to.death));
  Link* link = to.out ? to.out : link_to(to);
  if (!link) return static_cast<void>(to_nobody(frame.header(), to.no_link));
  if (frame.bytes().size() > link->transport().frame_size_max()) {
    return static_cast<void>(to_nobody(frame.header(), {Death::Cause::unreachable, 0, "message larger than the link to it takes"}));
  }
  if (link->send(frame)) return mark_dirty(*link);
  std::ranges::copy(frame.bytes(), owe(*link, frame.header(), frame.bytes().size()));
}

// Whoever asks a process that is known to be dead, or that cannot be reached, has the answer at once, from ourselves.
bool Core::to_nobody(const FrameHeader& header, const Death& why) {
  if (header.kind == Kind::message) dead_letter();
  if (header.kind == Kind::request || header.kind == Kind::monitor) unreachable_.push_back({header.correlation, why});
  return true;
}

void Core::check_bound(const FrameHeader& header, std::size_t owed) const {
  // What is no handler's was accepted before, and goes on.
  if (!running_ || !for_mailbox(header.kind) || owed <= options_.outbox_bytes_max) return;
  throw std::length_error(fmt::format("{} bytes wait for room in a link: send less from one handler, or use try_send()", owed));
}

// The link is full: the frame, which is to be written to where this says, waits, and so does the actor that sent it.
std::byte* Core::owe(Link& link, const FrameHeader& header, std::size_t size) {
  check_bound(header, link.owed_bytes() + size);
  std::byte* place = link.keep(size, is_control(header.kind));
  note_owing(link);
  if (!running_) return place;
  const CellId id{running_->self.slot, running_->self.generation};
  if (!link.waiters.empty() && link.waiters.back() == id) return place;
  link.waiters.push_back(id);
  ++running_->waits_for_links;
  return place;
}

// The receiver's mailbox is full: the same.
void Core::hold(Peer::Paused& paused, KeptFrame frame) {
  check_bound(frame.header(), paused.held_bytes + frame.bytes().size());
  paused.held_bytes += frame.bytes().size();
  paused.held.push_back(std::move(frame));
  if (!running_) return;
  const CellId id{running_->self.slot, running_->self.generation};
  if (!paused.waiters.empty() && paused.waiters.back() == id) return;
  paused.waiters.push_back(id);
  ++running_->waits_for_mailboxes;
}

void Core::release(std::vector<CellId> waiters, bool link) {
  for (const CellId& id : waiters) {
    detail::Cell* cell = slots_.find(id.slot, id.generation);
    if (!cell) continue;
    --(link ? cell->waits_for_links : cell->waits_for_mailboxes);
    reconsider(*cell);
  }
}

std::uint64_t Core::link_id(std::uint64_t process) {
  Peer& to = peer(process);
  const Link* link = to.death ? nullptr : to.out ? to.out : link_to(to);
  return link ? link->id() : 0;
}

bool Core::congested(std::uint64_t process, std::uint32_t slot) {
  Peer& to = peer(process);
  return (to.out && to.out->owing()) || to.paused.contains(slot);
}

void Core::note_owing(Link& link) {
  if (link.owing_noted) return;
  link.owing_noted = true;
  owing_.push_back(&link);
  activate(link);  // so that arm() comes again, and asks for room
}

void Core::flush() {
  for (Link* link : dirty_) {
    link->dirty = false;
    if (!link->lost && !link->flush()) note_owing(*link);
  }
  dirty_.clear();
}

void Core::push_owing() {
  for (std::size_t i = 0; i < owing_.size();) {
    Link* link = owing_[i];
    if (!link->lost) {
      const bool pushed = link->push();
      if (!link->flush() || !pushed) {
        ++i;
        continue;
      }
    }
    link->owing_noted = false;
    owing_[i] = owing_.back();
    owing_.pop_back();
    release(std::exchange(link->waiters, {}), true);
  }
}

void Core::answer_down(std::uint64_t process, std::uint64_t correlation, const Death& death) {
  const FrameHeader header{.kind = Kind::down, .correlation = correlation};
  message::with_death(death, [&](const detail::Payload& payload) { return send(process, header, payload, detail::WhenFull::wait); });
}

void Core::refuse(std::uint64_t process, std::uint64_t correlation, const std::string& why) {
  const FrameHeader header{.kind = Kind::refused, .correlation = correlation};
  message::with_refusal(why, [&](const detail::Payload& payload) { return send(process, header, payload, detail::WhenFull::wait); });
}

Question& Core::open_question(Question::Kind kind, Duration timeout) {
  Question& question = running_ ? questions_.open(kind, {running_->self.slot, running_->self.generation}, running_->questions)
                                : questions_.open(kind);
  if (timeout != kForever) questions_.set_deadline(question, deadline_after(timeout));
  return question;
}

void Core::ask(Question& question, Kind kind, const detail::Payload& payload) {
  const auto id = question.id();
  const Address to = question.target;
  question.link = link_id(to.process);
  FrameHeader header{.kind = kind, .to_slot = to.slot, .to_generation = to.generation, .correlation = id};
  if (running_) {
    header.from_slot = running_->self.slot;
    header.from_generation = running_->self.generation;
  }
  try {
    send(to.process, header, payload, detail::WhenFull::wait);
  } catch (...) {
    close_question(question, false);
    throw;
  }
}

void Core::look_up(Question& question, const std::string& name) { tree_.look_up(question.id(), name); }

Question* Core::first_question(detail::Cell& cell) {
  return cell.questions == Question::kNone ? nullptr : &questions_.at(cell.questions);
}

// `tell`: whoever was to tell us of a death need not any more.
void Core::close_question(Question& question, bool tell) {
  if (tell && question.kind == Question::Kind::monitor && !question.settled && peers_.contains(question.target.process)) {
    const FrameHeader header{.kind = Kind::unmonitor,
                             .to_slot = question.target.slot,
                             .to_generation = question.target.generation,
                             .correlation = question.id()};
    send(question.target.process, header, message::kNothing, detail::WhenFull::wait);
  }
  detail::Cell* owner = nullptr;
  if (running_ && running_->self.slot == question.owner.slot) {
    owner = running_;  // which may be in its constructor still
  } else if (question.owner.generation != 0) {
    owner = slots_.find(question.owner.slot, question.owner.generation);
  }
  owner ? questions_.close(question, owner->questions) : questions_.close(question);
}

void Core::start_timer(Question& question, Duration delay, bool again) {
  questions_.set_deadline(question, deadline_after(delay));
  if (again) question.period = delay;
}

}  // namespace troupe::node
