#include "supervisor/tree.h"

#include <algorithm>
#include <utility>

namespace troupe::supervisor {

namespace {

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <class... F>
Overloaded(F...) -> Overloaded<F...>;

}  // namespace

Tree::Tree(const SupervisorSpec& top, std::uint64_t seed) : seed_(seed) { add(top, 0, 0, ""); }

Tree::NodeId Tree::add(const SupervisorSpec& spec, NodeId above, Life life, std::string path) {
  const NodeId node = ++last_node_;
  nodes_.emplace(node, Node{Supervisor(spec, seed_ + node), above, life, std::move(path), {}});
  return node;
}

Tree::Commands Tree::ready(WorkerId worker, Time now) {
  return handle(static_cast<NodeId>(worker >> 32), event::Ready{static_cast<Life>(worker)}, now);
}

Tree::Commands Tree::ended(WorkerId worker, const Death& death, Time now) {
  return handle(static_cast<NodeId>(worker >> 32), event::Ended{static_cast<Life>(worker), death}, now);
}

Tree::Commands Tree::tick(Time now) {
  Commands out;
  std::vector<NodeId> late;
  for (const auto& [id, node] : nodes_)
    if (const auto deadline = node.supervisor.deadline(); deadline && *deadline <= now) late.push_back(id);
  for (const NodeId node : late) std::ranges::move(handle(node, event::Tick{}, now), std::back_inserter(out));
  return out;
}

Tree::Commands Tree::ask(std::string_view path, const Event& event, Request request, Time now) {
  for (const auto& [id, node] : nodes_)
    if (node.path == path) return handle(id, event, now);
  return {tree_command::Answer{request, Result::not_found, {}}};
}

Tree::Commands Tree::handle(NodeId first, Event event, Time now) {
  Commands out;
  pending_.emplace_back(first, std::move(event));
  while (!pending_.empty()) {
    const auto [id, next] = std::move(pending_.front());
    pending_.pop_front();
    const auto node = nodes_.find(id);
    if (node == nodes_.end()) continue;  // it ended before it heard
    for (Command& command : node->second.supervisor.handle(next, now)) carry_out(id, command, out);
  }
  return out;
}

void Tree::carry_out(NodeId id, Command& command, Commands& out) {
  Node& node = nodes_.at(id);
  // Passes `event` to the supervisor that is that child, or says that it is a worker.
  const auto passed_on = [&](Life life, const Event& event) {
    const auto below = node.below.find(life);
    if (below == node.below.end()) return false;
    pending_.emplace_back(below->second, event);
    return true;
  };
  std::visit(
      Overloaded{
          [&](command::Start& start) {
            const std::string path = path_of(node, start.spec.id);
            if (!start.spec.supervisor) {
              out.emplace_back(tree_command::Start{worker_id(id, start.life), path, std::move(start.spec), start.restarts});
              return;
            }
            const NodeId below = add(*start.spec.supervisor, id, start.life, path);
            node.below[start.life] = below;
            pending_.emplace_back(below, event::Begin{});
          },
          [&](const command::Stop& stop) {
            if (!passed_on(stop.life, event::Stop{stop.why})) out.emplace_back(tree_command::Stop{worker_id(id, stop.life), stop.why});
          },
          [&](const command::Kill& kill) {
            if (!passed_on(kill.life, event::Kill{kill.why})) out.emplace_back(tree_command::Kill{worker_id(id, kill.life), kill.why});
          },
          [&](const command::Started&) {
            if (node.above == 0) out.emplace_back(tree_command::Started{});
            else pending_.emplace_back(node.above, event::Ready{node.life});
          },
          [&](command::Ended& ended) {
            if (node.above == 0) {
              const std::string path = path_of(node, ended.outcome.child);
              out.emplace_back(tree_command::Ended{std::move(ended.outcome), path});
            } else {
              nodes_.at(node.above).below.erase(node.life);
              pending_.emplace_back(node.above, event::Ended{node.life, ended.outcome.as_death()});
            }
            nodes_.erase(id);  // nothing follows
          },
          [&](const command::Answer& answer) {
            out.emplace_back(tree_command::Answer{answer.request, answer.result, answer.death});
          },
          [&](command::Note& note) {
            const std::string path = path_of(node, note.child);
            out.emplace_back(tree_command::Note{path, std::move(note)});
          },
      },
      command);
}

std::optional<Time> Tree::deadline() const {
  std::optional<Time> first;
  for (const auto& [id, node] : nodes_)
    if (const auto deadline = node.supervisor.deadline(); deadline && (!first || *deadline < *first)) first = deadline;
  return first;
}

std::string Tree::path_of(const Node& node, const std::string& child) const {
  return node.path.empty() ? child : node.path + "/" + child;
}

void Tree::visit(const std::function<void(const View&)>& visitor) const {
  if (const auto top = nodes_.find(kTop); top != nodes_.end()) visit(top->second, 0, visitor);
}

void Tree::visit(const Node& node, unsigned depth, const std::function<void(const View&)>& visitor) const {
  const auto id = node.above == 0 ? kTop : nodes_.at(node.above).below.at(node.life);
  for (const Child& child : node.supervisor.children()) {
    const bool worker = child.alive() && !child.spec.supervisor;
    visitor({path_of(node, child.spec.id), depth, node.supervisor, child, worker ? worker_id(id, child.life()) : 0});
    if (const auto below = node.below.find(child.life()); below != node.below.end())
      visit(nodes_.at(below->second), depth + 1, visitor);
  }
}

}  // namespace troupe::supervisor
