#include "sync/barrier.h"

#include <algorithm>
#include <array>
#include <climits>
#include <cstring>
#include <utility>

namespace troupe::sync {

// As in CPython's threading.py: a barrier fills, runs its action, and drains before it can fill again; one that was reset drains, too.
// What commits is `state`, and a user's `inside`; the sum of those follows from them, and so does the end of draining.

Barrier::Barrier(std::span<std::byte> memory, Slot me, BarrierOptions options)
    : Guarded(shape_of(memory, Kind::barrier, me).users, me), options_(std::move(options)) {
  parties_ = shape_of(memory, Kind::barrier, me).count;
  Parts parts(memory);
  guard_with(parts.next<GuardPart>());
  part_ = parts.next<BarrierPart>();
  user_ = parts.next<BarrierUser>(users());
}

std::uint32_t Barrier::wait(std::optional<Duration> timeout) {
  const auto deadline = deadline_after(timeout.value_or(options_.timeout));
  enter();
  commit(user_[me()].party, 1);
  // The round before this one has to be over.
  while (leaving() || state() == acting) {
    if (!sleep(leaving() ? deadline : Clock::time_point::max()) && leaving()) {
      break_for(0);
      leave_broken();
    }
  }
  if (state() == is_broken) leave_broken();
  come(+1);
  const std::uint32_t index = pass(deadline);
  come(-1);
  const bool released = state() == draining;
  if (value_of(part_->inside) == 0) end_round();
  if (!released) leave_broken();
  leave_and_wake(INT_MAX);
  return index;
}

// Returns once this round is over, one way or the other.
std::uint32_t Barrier::pass(Clock::time_point deadline) {
  const std::uint32_t index = value_of(part_->inside) - 1;
  if (index + 1 == parties_ && state() == filling) {
    act();
    return index;
  }
  for (State now = state(); now == filling || now == acting; now = state()) {
    const bool in_time = sleep(now == filling ? deadline : Clock::time_point::max());
    if (!in_time && state() == filling) break_for(0);
  }
  return index;
}

// The action runs outside of the lock: it may take its time, and meanwhile others may break the barrier or die.
void Barrier::act() {
  if (options_.action) {
    be(acting);
    leave();
    try {
      options_.action();
    } catch (...) {
      enter();
      if (state() == acting) break_for(0);
      come(-1);
      if (value_of(part_->inside) == 0) end_round();
      leave_and_wake(INT_MAX);
      throw;
    }
    enter();
    if (state() != acting) return;
  }
  be(draining);
}

void Barrier::reset() {
  enter();
  commit(part_->doomed, 0);
  if (state() != draining) {
    // Those whom a death has woken, but who are not out yet, are still told of it.
    if (state() == filling || state() == acting) commit(part_->culprit, 0);
    be(value_of(part_->inside) == 0 ? filling : resetting);
  }
  leave_and_wake(INT_MAX);
}

void Barrier::abort() {
  enter();
  break_for(0);
  leave_and_wake(INT_MAX);
}

std::uint32_t Barrier::n_waiting() const { return state() == filling || state() == acting ? value_of(part_->inside) : 0; }
bool Barrier::broken() const { return state() == is_broken || value_of(part_->doomed) != 0; }

std::optional<Slot> Barrier::culprit() const {
  const std::uint32_t culprit = value_of(part_->culprit);
  return !broken() || culprit == 0 ? std::nullopt : std::optional<Slot>(culprit - 1);
}

std::string Barrier::culprit_name() const {
  const auto slot = culprit();
  return slot && *slot < users() ? name_of(*slot) : "";
}

void Barrier::enlist(Slot slot) {
  check_slot(slot, users());
  commit(user_[slot].party, 1);
}

void Barrier::name(Slot slot, std::string_view name) {
  check_slot(slot, users());
  std::array<std::uint64_t, std::tuple_size_v<decltype(BarrierUser::name)>> words{};
  if (!name.empty()) std::memcpy(words.data(), name.data(), std::min(name.size(), sizeof words));
  std::ranges::copy(words, user_[slot].name.begin());
}

// Anybody may have written there.
std::string Barrier::name_of(Slot slot) const {
  std::string name;
  for (const WideWord& word : user_[slot].name) {
    const std::uint64_t bytes = word;
    name.append(reinterpret_cast<const char*>(&bytes), sizeof bytes);
  }
  name.resize(std::min(name.find('\0'), name.size()));
  std::ranges::replace_if(name, [](unsigned char c) { return c < ' ' || c == 127; }, '?');
  return name;
}

void Barrier::come(int change) {
  Word& inside = user_[me()].inside;
  commit(inside, value_of(inside) + static_cast<std::uint32_t>(change));
  commit(part_->inside, value_of(part_->inside) + static_cast<std::uint32_t>(change));
}

// The last one of a round is out.
void Barrier::end_round() {
  if (!leaving()) return;
  be(value_of(part_->doomed) != 0 ? is_broken : filling);
  commit(part_->doomed, 0);
}

// Those who are leaving are not held up: it breaks behind them.
void Barrier::break_for(std::uint32_t culprit) {
  if (state() == is_broken || (leaving() && value_of(part_->doomed) != 0)) return;
  commit(part_->culprit, culprit);
  if (leaving()) {
    commit(part_->doomed, 1);
  } else {
    be(is_broken);
  }
}

void Barrier::leave_broken() {
  const std::uint32_t by = value_of(part_->culprit);
  const std::string name = by != 0 && by <= users() ? name_of(by - 1) : "";
  leave_and_wake(INT_MAX);
  throw BrokenBarrierError(by == 0 ? std::nullopt : std::optional<Slot>(by - 1), name);
}

void Barrier::forget(Slot gone, End end) {
  BarrierUser& user = user_[gone];
  const bool inside = value_of(user.inside) != 0;
  if (end == End::died ? inside || value_of(user.party) != 0 : inside && !leaving()) break_for(gone + 1);
  commit(user.inside, 0);
  commit(user.party, 0);
}

void Barrier::recount() {
  std::uint32_t inside = 0;
  for (Slot slot = 0; slot < users(); ++slot) inside += value_of(user_[slot].inside);
  commit(part_->inside, inside);
  if (inside == 0) end_round();
}

}  // namespace troupe::sync
