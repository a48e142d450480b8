#include "node/core.h"

namespace troupe::node {

Address Core::spawn(Function<std::unique_ptr<Actor>(Context&)>& make, std::uint32_t restarts) {
  const CellId id = slots_.reserve();
  auto owner = std::make_unique<detail::Cell>(*this, Address(self_, id.slot, id.generation), ++actors_made_);
  detail::Cell& cell = *owner;
  cell.restarts = restarts;
  detail::Cell* const maker = std::exchange(running_, &cell);
  try {
    cell.construct(make);
  } catch (...) {
    while (Question* question = first_question(cell)) close_question(*question, true);
    running_ = maker;
    slots_.unreserve(id);
    throw;
  }
  running_ = maker;
  for (const auto& entry : cell.handlers().entries()) {
    if (entry.schema == 0) continue;
    decoder_.add(entry.takes);
    if (entry.gives != capnp::StructSchema()) decoder_.add(entry.gives);
  }
  cell.shell = scheduler_.spawn(cell);
  slots_.fill(std::move(owner));
  if (cell.stop_wanted) scheduler_.schedule(cell.shell);
  return cell.self;
}

void Core::release_shell(Scheduler::Shell* shell) { scheduler_.release(shell); }

void Core::reconsider(detail::Cell& cell) {
  if (cell.scheduled || cell.gone || cell.mailbox.empty() || !cell.runnable()) return;
  cell.scheduled = true;
  scheduler_.schedule(cell.shell);
}

void Core::ended(detail::Cell& cell) {
  cell.gone = true;
  Death death = cell.death ? *cell.death : cell.why_stopped.value_or(Death{Death::Cause::stopped, 0, ""});
  death.time = std::chrono::system_clock::now();
  death.restarts = cell.restarts;
  const bool kept = slots_.find(keeper_.slot, keeper_.generation) && slots_.find(keeper_.slot, keeper_.generation) != &cell;
  if (!kept && (!last_death_ || last_death_->normal())) last_death_ = death;  // else it is its keeper's business
  answer_dropped(death);
  dying_of_ = &death;
  cell.actor.reset();
  while (Question* question = first_question(cell)) close_question(*question, true);
  dying_of_ = nullptr;

  for (const Letter& letter : cell.mailbox) {
    if (letter.event) continue;
    if (letter.header.kind == message::Kind::request) answer_down(letter.process, letter.header.correlation, death);
    if (letter.header.kind == message::Kind::message) dead_letter();
  }
  for (const auto& watcher : cell.watchers) {
    answer_down(watcher.process, watcher.correlation, death);
    if (const auto peer = peers_.find(watcher.process); peer != peers_.end()) --peer->second->watching;
  }
  resume_senders(cell);
  dead_cells_.push_back(slots_.remove(cell, death));
}

// Requests whose Responder was dropped while a handler ran get to know why.
void Core::answer_dropped(const std::optional<Death>& death) {
  if (dropped_.empty()) [[likely]] return;
  for (const auto& [process, correlation] : std::exchange(dropped_, {})) {
    if (death) {
      answer_down(process, correlation, *death);
    } else {
      refuse(process, correlation, "the actor dropped the request without an answer");
    }
  }
}

void Core::dropped(std::uint64_t process, std::uint64_t correlation) {
  if (dying_of_) return answer_down(process, correlation, *dying_of_);
  dropped_.push_back({process, correlation});
  if (!running_) answer_dropped({});
}

void Core::stop_all() {
  stopping_ = true;
  being_stopped_ = {};
}

void Core::stop_actor(CellId id, const std::optional<Death>& death) {
  detail::Cell* cell = slots_.find(id.slot, id.generation);
  if (!cell) return;
  cell->why_stopped = death;
  cell->on_stop_wanted = true;
  scheduler_.schedule(cell->shell);
}

void Core::end_actor(CellId id, const std::optional<Death>& death) {
  detail::Cell* cell = slots_.find(id.slot, id.generation);
  if (!cell) return;
  if (death) cell->death = death;
  cell->stop_wanted = true;
  scheduler_.schedule(cell->shell);
}

// Newest first, one after the other; but who keeps the others knows better.
void Core::stop_next() {
  if (slots_.find(being_stopped_.slot, being_stopped_.generation)) return;
  detail::Cell* cell = slots_.find(keeper_.slot, keeper_.generation);
  if (!cell) cell = slots_.newest();
  if (!cell) return;
  being_stopped_ = {cell->self.slot, cell->self.generation};
  cell->on_stop_wanted = true;
  scheduler_.schedule(cell->shell);
}

}  // namespace troupe::node
