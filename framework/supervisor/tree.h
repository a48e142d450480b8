#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "supervisor/supervisor.h"

namespace troupe::supervisor {

// One start of one worker, unique in a tree for ever.
using WorkerId = std::uint64_t;

namespace tree_command {
struct Start { WorkerId worker; std::string path; ChildSpec spec; unsigned restarts; };
struct Stop { WorkerId worker; std::optional<Death> why; };
struct Kill { WorkerId worker; std::optional<Death> why; };
struct Started {};
struct Ended { Outcome outcome; std::string path; };  // path: of outcome.child
struct Answer { Request request; Result result; Death death; };
struct Note { std::string path; command::Note note; };  // of the child; note.child is the end of it
}  // namespace tree_command

using TreeCommand = std::variant<tree_command::Start, tree_command::Stop, tree_command::Kill, tree_command::Started,
                                 tree_command::Ended, tree_command::Answer, tree_command::Note>;

// Supervisors that supervise supervisors: passes what one decides about another on to it, so that only what concerns workers and
// the top comes out. As pure as Supervisor is. Paths name children from the top down: "counters/counter.2".
//
// Threads: a value, but not copyable.
class Tree {
 public:
  Tree(const SupervisorSpec& top, std::uint64_t seed);

  using Commands = std::vector<TreeCommand>;
  Commands begin(Time now) { return handle(kTop, event::Begin{}, now); }
  Commands stop(Time now) { return handle(kTop, event::Stop{}, now); }
  Commands kill(Time now) { return handle(kTop, event::Kill{}, now); }
  Commands ready(WorkerId worker, Time now);
  Commands ended(WorkerId worker, const Death& death, Time now);
  Commands tick(Time now);
  // StartChild, TerminateChild, RestartChild or DeleteChild for the supervisor at `path`; not_found is the answer if there is none.
  Commands ask(std::string_view path, const Event& event, Request request, Time now);

  [[nodiscard]] std::optional<Time> deadline() const;
  [[nodiscard]] bool ended() const { return nodes_.empty(); }

  struct View {
    std::string path;
    unsigned depth;
    const Supervisor& supervisor;  // that it is a child of
    const Child& child;
    WorkerId worker;  // 0 if it does not run, or is a supervisor
  };
  // All children of all supervisors, each supervisor followed by its own.
  void visit(const std::function<void(const View&)>& visitor) const;

 private:
  using NodeId = std::uint32_t;
  static constexpr NodeId kTop = 1;
  struct Node {
    Supervisor supervisor;
    NodeId above;
    Life life;  // that the one above knows it by
    std::string path;
    std::map<Life, NodeId> below;
  };

  Commands handle(NodeId node, Event event, Time now);
  void carry_out(NodeId node, Command& command, Commands& out);
  NodeId add(const SupervisorSpec& spec, NodeId above, Life life, std::string path);
  [[nodiscard]] std::string path_of(const Node& node, const std::string& child) const;
  void visit(const Node& node, unsigned depth, const std::function<void(const View&)>& visitor) const;
  static WorkerId worker_id(NodeId node, Life life) { return WorkerId{node} << 32 | life; }

  std::map<NodeId, Node> nodes_;
  NodeId last_node_ = 0;
  std::uint64_t seed_;
  std::deque<std::pair<NodeId, Event>> pending_;
};

}  // namespace troupe::supervisor
