#pragma once

#include <troupe/death.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "node/cell.h"

namespace troupe::node {

// The actors of a node by slot. A slot is used again, but not soon, with another generation; how its last actor ended is kept
// until its next has ended.
//
// Threads: the node's.
class Slots {
 public:
  // Where the next actor goes.
  CellId reserve();
  // Gives a reserved slot back unused.
  void unreserve(CellId id) { free_.push_back(id.slot); }
  void fill(std::unique_ptr<detail::Cell> cell);

  // Null if it has ended, or never was.
  [[nodiscard]] detail::Cell* find(std::uint32_t slot, std::uint32_t generation) const {
    return slot < slots_.size() && slots_[slot].generation == generation ? slots_[slot].cell : nullptr;
  }
  // How it ended, as far as that is known still.
  [[nodiscard]] Death death_of(std::uint32_t slot, std::uint32_t generation) const;

  // Takes an actor that ended out of its slot.
  std::unique_ptr<detail::Cell> remove(detail::Cell& cell, const Death& death);

  [[nodiscard]] std::size_t size() const { return size_; }
  // The one that was made last, or null.
  [[nodiscard]] detail::Cell* newest() const;
  template <class F>
  void for_each(F&& use) const {
    for (const Slot& slot : slots_) {
      if (slot.cell) use(*slot.cell);
    }
  }

 private:
  struct Slot {
    std::uint32_t generation = 1;
    detail::Cell* cell = nullptr;
  };
  std::vector<Slot> slots_;
  std::vector<Death> deaths_;
  std::deque<std::uint32_t> free_;
  std::size_t size_ = 0;
};

}  // namespace troupe::node
