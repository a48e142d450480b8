#include "sync/wait_graph.h"

#include <algorithm>
#include <set>
#include <utility>

#include "sync/condition.h"

namespace troupe::sync {
namespace {

// Depth first from each waiter, through waiters above it only: so a circle is found once, from its lowest waiter.
class Search {
 public:
  explicit Search(std::span<const Edge> edges) : edges_(edges.begin(), edges.end()) {
    std::ranges::sort(edges_, {}, &Edge::waiter);
  }

  std::vector<Circle> run() {
    for (const Edge& edge : edges_) {
      if (edge.waiter == start_ && !visited_.empty()) continue;
      start_ = edge.waiter;
      visited_ = {start_};
      follow(start_);
    }
    return std::move(circles_);
  }

 private:
  void follow(std::uint64_t waiter) {
    for (auto edge = std::ranges::lower_bound(edges_, waiter, {}, &Edge::waiter);
         edge != edges_.end() && edge->waiter == waiter; ++edge) {
      path_.push_back(*edge);
      if (edge->holder == start_) {
        circles_.push_back(path_);
      } else if (edge->holder > start_ && visited_.insert(edge->holder).second) {
        follow(edge->holder);
      }
      path_.pop_back();
    }
  }

  std::vector<Edge> edges_;
  std::vector<Circle> circles_;
  Circle path_;
  std::set<std::uint64_t> visited_;
  std::uint64_t start_ = 0;
};

}  // namespace

std::vector<Circle> find_circles(std::span<const Edge> edges) { return Search(edges).run(); }

std::optional<AnyLock> lock_in(std::span<std::byte> memory) {
  const Shape shape = shape_of(memory);
  switch (shape.kind) {
    case Kind::lock: return Lock(memory, shared::kRootSlot);
    case Kind::rlock: return RLock(memory, shared::kRootSlot);
    case Kind::condition: return Condition(memory, shared::kRootSlot).get_lock();
    case Kind::array: {
      Parts parts(memory);
      return RLock::part_of(parts, shape.users, shared::kRootSlot);
    }
    default: return std::nullopt;
  }
}

std::vector<Edge> read_edges(std::span<const LockUsers> locks) {
  std::vector<Edge> edges;
  for (const LockUsers& lock : locks) {
    for (const Wait& wait : lock.handle.waits()) {
      if (wait.waiter >= lock.processes.size() || wait.holder >= lock.processes.size()) continue;
      edges.push_back({lock.processes[wait.waiter], lock.lock, lock.processes[wait.holder], wait.since});
    }
  }
  return edges;
}

std::vector<Circle> circles_among(std::span<const LockUsers> locks) {
  std::vector<Circle> circles = find_circles(read_edges(locks));
  if (circles.empty()) return circles;
  const std::vector<Edge> later = read_edges(locks);
  std::erase_if(circles, [&](const Circle& circle) {
    return !std::ranges::all_of(circle, [&](const Edge& edge) { return std::ranges::find(later, edge) != later.end(); });
  });
  return circles;
}

}  // namespace troupe::sync
