#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "topology/draft.h"

namespace troupe::topology {

namespace {

using supervisor::ChildSpec;
using supervisor::SupervisorSpec;

constexpr std::size_t kProcessesMax = 10000;
constexpr std::size_t kSupervisorsMax = 1000;
constexpr std::size_t kDepthMax = 32;  // of supervisors under one another

// How the tables of a draft fit together.
class Relations {
 public:
  Relations(const Draft& draft, Diagnostics& diagnostics) : draft_(draft), diagnostics_(diagnostics) {
    for (const auto& one : draft.supervisors) {
      supervisors_.emplace(one.child.id, &one);
      supervisor_names_.push_back(one.child.id);
    }
    for (const auto& one : draft.processes) {
      processes_.emplace(one.child.id, &one);
      process_names_.push_back(one.child.id);
      parents_.insert(one.under);
    }
    for (const auto& one : draft.supervisors) parents_.insert(one.under);
  }

  // Notes what does not fit.
  void check() {
    if (!sizes_fit()) return;  // what follows takes long for so many
    for (const auto& process : draft_.processes) check_under(process.under, process.under_place);
    for (const auto& one : draft_.supervisors) check_under(one.under, one.under_place);
    for (const auto& one : draft_.supervisors) check_depth(one);
    for (const auto& process : draft_.processes) check_policy(process.child, process.under, *process.table);
    for (const auto& one : draft_.supervisors) check_policy(one.child, one.under, *one.table);
    for (const auto& one : draft_.supervisors) check_children(one);
    for (const auto& process : draft_.processes) check_within(process);
    check_links();
    check_references();
  }

  [[nodiscard]] std::size_t processes() const {
    std::size_t total = 0;
    for (const auto& process : draft_.processes) total += static_cast<std::size_t>(process.count.value_or(1));
    return total;
  }

  // The supervisor of that name, the top if it is empty, with its children in the order of the file.
  SupervisorSpec build(const std::string& name) const {
    SupervisorSpec spec = name.empty() ? (draft_.top ? draft_.top->spec : standard_supervisor()) : supervisors_.at(name)->spec;
    std::vector<std::pair<unsigned, ChildSpec>> children;
    for (const auto& one : draft_.supervisors) {
      if (one.under != name) continue;
      ChildSpec child = one.child;
      child.supervisor = std::make_shared<SupervisorSpec>(build(child.id));
      child.work = one.one_process;
      children.emplace_back(one.table->place.line, std::move(child));
    }
    for (const auto& process : draft_.processes) {
      if (process.under != name) continue;
      for (std::int64_t i = 0; i < process.count.value_or(1); ++i) children.emplace_back(process.table->place.line, numbered(process, i));
    }
    std::ranges::stable_sort(children, {}, &std::pair<unsigned, ChildSpec>::first);
    for (auto& [line, child] : children) spec.children.push_back(std::move(child));
    return spec;
  }

 private:
  static ChildSpec numbered(const Draft::Process& process, std::int64_t number) {
    ChildSpec child = process.child;
    if (process.count) child.id = fmt::format("{}.{}", process.child.id, number);
    auto work = std::make_shared<ActorWork>(process.work);
    work->name = child.id;
    child.work = std::move(work);
    return child;
  }

  bool sizes_fit() {
    if (processes() > kProcessesMax)
      diagnostics_.add(Code::value, draft_.processes.front().table->place, fmt::format("the topology has {} processes", processes()),
                       fmt::format("{} at most", kProcessesMax));
    if (draft_.supervisors.size() > kSupervisorsMax)
      diagnostics_.add(Code::value, draft_.supervisors.front().table->place,
                       fmt::format("the topology has {} supervisors", draft_.supervisors.size()), fmt::format("{} at most", kSupervisorsMax));
    return processes() <= kProcessesMax && draft_.supervisors.size() <= kSupervisorsMax;
  }

  const Draft::Supervisor* find_supervisor(const std::string& name) const {
    const auto found = supervisors_.find(name);
    return found == supervisors_.end() ? nullptr : found->second;
  }

  void check_under(const std::string& under, const Place& place) {
    if (under.empty() || find_supervisor(under)) return;
    auto& diagnostic = diagnostics_.add(Code::reference, place, fmt::format("there is no supervisor `{}`", under), "not found");
    if (const auto near = closest(under, supervisor_names_); !near.empty()) diagnostic.help.push_back(fmt::format("did you mean `{}`?", near));
    else if (draft_.names.contains(under)) diagnostic.notes.push_back(fmt::format("`{}` is a process", under));
  }

  void check_depth(const Draft::Supervisor& start) {
    std::size_t depth = 1;
    for (const auto* above = find_supervisor(start.under); above; above = find_supervisor(above->under)) {
      if (above == &start) {
        diagnostics_.add(Code::supervision, start.under_place, fmt::format("the supervisor `{}` is under itself", start.child.id), "a circle");
        return;
      }
      if (++depth <= kDepthMax) continue;
      diagnostics_.add(Code::supervision, start.under_place, fmt::format("more than {} supervisors under one another", kDepthMax),
                       "too deep, or above it is a circle");
      return;
    }
  }

  void check_policy(const ChildSpec& child, const std::string& under, const Node& table) {
    const Draft::Supervisor* above = under.empty() ? (draft_.top ? &*draft_.top : nullptr) : find_supervisor(under);
    if (!child.significant || child.id.empty() || (!under.empty() && !above)) return;
    const char* problem = spec_problem(child, above ? above->spec.auto_shutdown : supervisor::AutoShutdown::never);
    if (problem) diagnostics_.add(Code::supervision, table.find("significant")->place, problem, "contradicts this");
  }

  // The supervisor whose one process the children of `name` live in, if any.
  const Draft::Supervisor* host_of(const std::string& name) const {
    const Draft::Supervisor* host = nullptr;
    std::size_t depth = 0;  // there may be a circle
    for (const auto* above = find_supervisor(name); above && depth <= kDepthMax; above = find_supervisor(above->under), ++depth)
      if (above->one_process) host = above;
    return host;
  }

  // An actor without a process of its own cannot have what is a process's.
  void check_within(const Draft::Process& process) {
    const Draft::Supervisor* host = host_of(process.under);
    if (!host) return;
    for (const char* key : {"env", "watchdog", "start_timeout", "keep_stderr"})
      if (const Entry* misplaced = process.table->find(key))
        diagnostics_.add(Code::supervision, misplaced->place, fmt::format("`{}` has no process of its own that could have `{}`", process.child.id, key),
                         fmt::format("`{}` has one_process", host->child.id));
  }

  void check_children(const Draft::Supervisor& one) {
    if (one.child.id.empty() || parents_.contains(one.child.id)) return;
    diagnostics_.add(Code::supervision, one.table->place, fmt::format("the supervisor `{}` has no children", one.child.id))
        .help.push_back(fmt::format("put `under = \"{}\"` into what it is to supervise", one.child.id));
  }

  void check_links() {
    std::map<std::pair<std::string, std::string>, Place> seen;
    for (const auto& [between, link] : draft_.links) {
      check_link_end(link.a, between->items[0].place);
      check_link_end(link.b, between->items[1].place);
      const auto process = processes_.find(link.a);
      if (link.a == link.b && (process == processes_.end() || !process->second->count))
        diagnostics_.add(Code::reference, between->place, fmt::format("`{}` is linked with itself", link.a), "needs no link");
      const auto [other, is_new] = seen.emplace(std::minmax(link.a, link.b), between->place);
      if (!is_new)
        diagnostics_.add(Code::name, between->place, fmt::format("`{}` and `{}` are linked twice", link.a, link.b), "again")
            .notes.push_back(fmt::format("first in line {}", other->second.line));
    }
  }

  void check_link_end(const std::string& name, const Place& place) {
    const auto* one = find_supervisor(name);
    if (one && one->one_process) return;
    const auto named = draft_.names.find(name);
    if (named != draft_.names.end() && named->second.what == Draft::What::process) return;
    auto& diagnostic = diagnostics_.add(Code::reference, place, fmt::format("there is no process `{}`", name), "not found");
    if (diagnostics_.full()) return;
    if (const auto near = closest(name, process_names_); !near.empty()) diagnostic.help.push_back(fmt::format("did you mean `{}`?", near));
  }

  // Actors that arguments name: there is one of the name of each process.
  void check_references() {
    std::vector<std::string> names;
    for (const auto& [name, process] : processes_) names.push_back(process->count ? name + ".0" : name);
    for (const ActorReference& reference : draft_.references) {
      const auto process = processes_.find(reference.name);
      const bool many = process != processes_.end() && process->second->count;
      const auto named = draft_.names.find(reference.name);
      if (named != draft_.names.end() && named->second.what == Draft::What::process && !many) continue;
      auto& diagnostic =
          diagnostics_.add(Code::reference, reference.place,
                           fmt::format("{} needs an actor `{}`, which is not in this topology", reference.what, reference.name),
                           "not found");
      if (diagnostics_.full()) return;
      if (many) {
        diagnostic.help.push_back(fmt::format("there is one called `{}.0`", reference.name));
      } else if (const auto near = closest(reference.name, names); !near.empty()) {
        diagnostic.help.push_back(fmt::format("did you mean `{}`?", near));
      }
    }
  }

  const Draft& draft_;
  Diagnostics& diagnostics_;
  std::map<std::string, const Draft::Supervisor*> supervisors_;
  std::map<std::string, const Draft::Process*> processes_;
  std::vector<std::string> supervisor_names_, process_names_;
  std::set<std::string> parents_;  // supervisors that something is under
};

// Whether `name` is meant by `link_end`: the process itself, or one of those with a count.
bool covers(const std::string& link_end, const std::string& name) {
  if (link_end == name) return true;
  const auto number = name.starts_with(link_end + ".") ? name.substr(link_end.size() + 1) : "";
  return !number.empty() && std::ranges::all_of(number, [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

std::optional<Topology> check(const Source& source, const Surroundings& surroundings, Diagnostics& diagnostics) {
  auto root = parse_toml(source, diagnostics);
  if (!root) return std::nullopt;
  substitute_variables(*root, source, surroundings.variables, diagnostics);
  const Draft draft = read_draft(*root, source, surroundings, diagnostics);
  if (draft.processes.empty() && !root->find("process"))
    diagnostics.add(Code::missing, {}, "the topology has no process").help.push_back("add a `[[process]]` with a `name` and an `actor`");
  Relations relations(draft, diagnostics);
  relations.check();
  if (!diagnostics.empty()) return std::nullopt;
  Topology topology{draft.name, relations.build(""), {}, relations.processes(), draft.schemas};
  for (const auto& entry : draft.links) topology.links.push_back(entry.link);
  return topology;
}

transport::LinkOptions Topology::link_between(const std::string& one, const std::string& other) const {
  // An end that names a process alone comes before one that names all of a count.
  const Link* best = nullptr;
  std::size_t best_length = 0;
  for (const Link& link : links) {
    if (!(covers(link.a, one) && covers(link.b, other)) && !(covers(link.b, one) && covers(link.a, other))) continue;
    const std::size_t length = link.a.size() + link.b.size();
    if (length > best_length) best = &link, best_length = length;
  }
  return best ? best->options : transport::LinkOptions{};
}

}  // namespace troupe::topology
