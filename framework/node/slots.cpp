#include "node/slots.h"

namespace troupe::node {

namespace {

// So many slots lie idle before one is used again: as long the Death of its last actor is known.
constexpr std::size_t kIdleSlots = 1024;

}  // namespace

CellId Slots::reserve() {
  if (free_.size() <= kIdleSlots) {
    slots_.emplace_back();
    deaths_.emplace_back();
    return {static_cast<std::uint32_t>(slots_.size() - 1), 1};
  }
  const std::uint32_t slot = free_.front();
  free_.pop_front();
  return {slot, slots_[slot].generation};
}

void Slots::fill(std::unique_ptr<detail::Cell> cell) {
  Slot& slot = slots_[cell->self.slot];
  slot.cell = cell.release();
  ++size_;
}

Death Slots::death_of(std::uint32_t slot, std::uint32_t generation) const {
  if (generation == 0) return {Death::Cause::unreachable, 0, "it is nobody's address"};
  if (slot >= slots_.size() || generation >= slots_[slot].generation) return {Death::Cause::unreachable, 0, "there is no such actor"};
  if (generation + 1 == slots_[slot].generation) return deaths_[slot];
  return {Death::Cause::unreachable, 0, "it ended long ago"};
}

std::unique_ptr<detail::Cell> Slots::remove(detail::Cell& cell, const Death& death) {
  Slot& slot = slots_[cell.self.slot];
  slot.cell = nullptr;
  if (++slot.generation == 0) ++slot.generation;
  deaths_[cell.self.slot] = death;
  free_.push_back(cell.self.slot);
  --size_;
  return std::unique_ptr<detail::Cell>(&cell);
}

detail::Cell* Slots::newest() const {
  detail::Cell* newest = nullptr;
  for_each([&](detail::Cell& cell) {
    if (!newest || cell.birth > newest->birth) newest = &cell;
  });
  return newest;
}

}  // namespace troupe::node
