#include "node/cell.h"

#include "base/in_hand.h"
#include "base/witness.h"
#include "node/core.h"

namespace troupe::detail {

namespace {

// How much of its mailbox an actor works off before others have their turn.
constexpr int kBatch = 64;

std::string first_line(const char* text) {
  const std::string_view all(text);
  return std::string(all.substr(0, all.find('\n')));
}

// Of the exception in hand, which says that of itself.
Death death_by(std::string what, const char* message) {
  Death death{Death::Cause::exception, 0, std::move(what)};
  death.stack = base::take_stack();
  if (message) death.message = base::type_in(message);
  return death;
}

}  // namespace

Cell::Cell(node::Core& of, Address address, std::uint64_t number) : core(of), self(address), birth(number) {}

Cell::~Cell() {
  gone = true;
  if (shell) core.release_shell(shell);
}

// Runs something of the actor; false when it is to end.
template <class F>
bool Cell::guarded(F&& run) {
  core.enter(this);
  core.beat();
  const base::LookUntilHere handlers_only;
  try {
    run();
  } catch (const base::Witness&) {  // nothing is: it looks where the next two come from
  } catch (const std::exception& error) {
    death = death_by(first_line(error.what()), in_hand);
  } catch (...) {
    death = death_by("something that is no std::exception", in_hand);
  }
  core.enter(nullptr);
  if (death || stop_wanted) return false;  // ended() answers what was dropped
  core.answer_dropped({});
  return true;
}

bool Cell::execute() {
  return guarded([&] { core.job.call(core.job.object); });
}

bool Cell::execute_mailbox() {
  scheduled = false;
  if (stop_wanted) return false;
  if (on_stop_wanted) {
    on_stop_wanted = false;
    if (!guarded([&] { actor->on_stop(); })) return false;
  }
  if (std::exchange(over_budget, false) && !guarded([&] { actor->on_over_budget(); })) return false;
  for (int i = 0; i < kBatch && !mailbox.empty() && runnable(); ++i) {
    node::Letter letter = std::move(mailbox.front());
    mailbox.pop_front();
    core.mailbox_shrank(*this);
    if (!guarded([&] { open(letter); })) return false;
  }
  core.reconsider(*this);
  return true;
}

void Cell::open(node::Letter& letter) {
  if (letter.event) {
    core.answer(letter.header.correlation, *letter.event);
  } else if (letter.header.kind == message::Kind::message || letter.header.kind == message::Kind::request) {
    handle(letter.header, letter.process, letter.body);
  } else {
    core.answer(letter.header, letter.body);
  }
}

void Cell::ended() {
  if (!gone) core.ended(*this);
}

void Cell::handle(const message::FrameHeader& header, std::uint64_t process, const Body& body) {
  actor->handlers_.forget_replaced();
  const bool request = header.kind == message::Kind::request;
  auto* entry = actor->handlers_.find(header.schema);
  if (!entry) {
    core.dead_letter();
    if (request) core.refuse(process, header.correlation, "the actor does not understand this request");
    return;
  }
  struct Handling {
    Cell& cell;
    Incoming in;
    ~Handling() {
      cell.incoming = nullptr;
      if (in.correlation) cell.core.dropped(in.sender.process, in.correlation);
    }
  } handling{*this, {body, Address(process, header.from_slot, header.from_generation), self, request ? header.correlation : 0}};
  incoming = &handling.in;
  const base::InHand for_crashes(entry->name);
  in_hand = entry->name;
  (*entry->handler)(handling.in);
  in_hand = nullptr;
}

}  // namespace troupe::detail
