#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <vector>

#include "queue/leases.h"
#include "queue/queue_memory.h"
#include "queue/shared_queue.h"

namespace queue_test {

// What a queue must do, said with plain containers: the reference for model_test.cpp.
class QueueModel {
 public:
  struct Item {
    std::uint64_t number = 0;
    std::size_t size = 0;
    std::uint64_t position = 0;  // its place in the order of all puts
    std::uint32_t deliveries = 0;
  };
  struct Held {
    Item item;
    std::uint32_t slot = 0;
    bool dead_letter = false;
  };

  QueueModel(const troupe::queue::QueueOptions& options, std::size_t small_max) : options_(options), small_max_(small_max) {}

  bool closed = false;
  std::deque<Item> log;  // as it comes out; with another order than first in, first out, returned ones among them
  std::map<std::uint64_t, Item> returned, dead;  // by position
  std::map<std::uint32_t, Held> held;            // by entry
  std::uint64_t dropped_newest = 0, dropped_oldest = 0, redelivered = 0, quarantined = 0, dead_dropped = 0;

  [[nodiscard]] std::size_t size() const { return log.size() + returned.size(); }
  [[nodiscard]] bool full() const { return !has_room(0) || (options_.bytes_max != 0 && bytes() >= options_.bytes_max); }
  [[nodiscard]] bool is_idle() const { return log.empty() && returned.empty() && leased() == 0; }
  [[nodiscard]] std::size_t leased() const {
    return static_cast<std::size_t>(std::count_if(held.begin(), held.end(), [](const auto& h) { return !h.second.dead_letter; }));
  }

  troupe::queue::PutResult put(std::uint64_t number, std::size_t size) {
    using troupe::queue::Overflow;
    using troupe::queue::PutResult;
    if (closed) return PutResult::closed;
    while (!has_room(size)) {
      if (options_.overflow == Overflow::drop_newest) return ++dropped_newest, PutResult::dropped;
      if (options_.overflow != Overflow::drop_oldest || log.empty()) return PutResult::full;
      is_ordered() ? log.pop_back() : log.pop_front();
      ++dropped_oldest;
    }
    insert({number, size, next_position_++, 0});
    return PutResult::done;
  }

  // What the next get or lease yields: items of which the first is `from_returned` or not; as many as `most`.
  struct Next {
    std::vector<Item> items;
    bool from_returned = false;
    bool no_entry = false;  // it throws
  };
  [[nodiscard]] Next next(std::size_t most, bool leased) const {
    if (is_ordered()) return next_ordered(most, leased);
    if (!returned.empty()) return {{returned.begin()->second}, true, false};
    Next next;
    std::size_t entries = options_.leases_max - used_entries();
    for (const Item& item : log) {
      const bool large = is_large(item.size);
      if (next.items.size() == most || (large && !next.items.empty())) break;
      if (leased && entries-- == 0) {
        next.no_entry = next.items.empty();
        break;
      }
      next.items.push_back(item);
      if (large) break;
    }
    return next;
  }
  void take(const Next& next) {
    if (is_ordered()) {
      for (const Item& item : next.items) redelivered += item.deliveries > 0 ? 1 : 0;
    }
    if (next.from_returned) {
      ++redelivered;
      returned.erase(next.items.front().position);
    } else {
      log.erase(log.begin(), log.begin() + static_cast<std::ptrdiff_t>(next.items.size()));
    }
  }
  [[nodiscard]] bool ended(std::uint32_t slot) const {
    bool mine = false, others = false;
    for (const auto& [entry, h] : held)
      if (!h.dead_letter) (h.slot == slot ? mine : others) = true;
    return closed && log.empty() && returned.empty() && (mine || !others);
  }
  void give_back(std::uint32_t entry) {
    const Held h = held.at(entry);
    held.erase(entry);
    if (h.dead_letter || (options_.deliveries_max != 0 && h.item.deliveries >= options_.deliveries_max)) {
      dead.emplace(h.item.position, h.item);
      if (!h.dead_letter) ++quarantined;
      if (dead.size() > std::max<std::size_t>(options_.leases_max / 2, 1)) dead.erase(dead.begin()), ++dead_dropped;
    } else if (is_ordered()) {
      insert(h.item);
    } else {
      returned.emplace(h.item.position, h.item);
    }
  }
  [[nodiscard]] std::size_t returned_count() const {
    return returned.size() + static_cast<std::size_t>(std::count_if(log.begin(), log.end(), [](const Item& i) { return i.deliveries > 0; }));
  }
  void recover(std::uint32_t slot) {
    std::vector<std::uint32_t> entries;
    for (const auto& [entry, h] : held)
      if (h.slot == slot) entries.push_back(entry);
    for (const std::uint32_t entry : entries) give_back(entry);
  }

 private:
  [[nodiscard]] bool is_ordered() const { return options_.order != troupe::queue::Order::fifo; }
  [[nodiscard]] bool is_before(const Item& a, const Item& b) const {
    using troupe::queue::Order;
    if (options_.order == Order::priority && a.number != b.number) return a.number < b.number;
    return options_.order == Order::lifo ? a.position > b.position : a.position < b.position;
  }
  void insert(const Item& item) {
    log.insert(std::find_if(log.begin(), log.end(), [&](const Item& other) { return is_before(item, other); }), item);
  }
  [[nodiscard]] Next next_ordered(std::size_t most, bool leased) const {
    Next next;
    for (const Item& item : log) {
      const bool large = is_large(item.size) && !leased;
      if (next.items.size() == most || (large && !next.items.empty())) break;
      next.items.push_back(item);
      if (large) break;
    }
    return next;
  }
  [[nodiscard]] bool is_large(std::size_t size) const { return size > small_max_; }
  [[nodiscard]] std::size_t used_entries() const { return held.size() + returned.size() + dead.size(); }
  [[nodiscard]] std::uint64_t bytes() const {
    std::uint64_t sum = 0;
    for (const Item& item : log) sum += item.size;
    return sum;
  }
  [[nodiscard]] bool has_room(std::size_t size) const {
    return (options_.items_max == 0 || log.size() < options_.items_max) && (options_.bytes_max == 0 || bytes() + size <= options_.bytes_max);
  }

  troupe::queue::QueueOptions options_;
  std::size_t small_max_;
  std::uint64_t next_position_ = 0;
};

}  // namespace queue_test
