#include "topology/draft.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <filesystem>
#include <system_error>

#include "topology/arguments.h"
#include "topology/fields.h"

namespace troupe::topology {

namespace {

using supervisor::ChildSpec;
using supervisor::SupervisorSpec;

constexpr std::int64_t kCountMax = 10000;
constexpr std::size_t kNameMax = 64;
constexpr Duration kStopTimeout = std::chrono::seconds(5);
constexpr Duration kStartTimeout = std::chrono::seconds(30);
constexpr Duration kWatchdogMin = std::chrono::milliseconds(10);
constexpr std::uint64_t kRingMin = 4096;
constexpr std::uint64_t kRingMax = std::uint64_t{1} << 30;

constexpr const char* kLibraryHelp = "write `[[library]]` on a line of its own, and below it `path = \"libmine.so\"`";

struct ActorType {
  capnp::StructSchema arguments;
  std::string library;
};

struct Library {
  std::string path;  // as the file writes it
  LibraryActors actors;
};

class Reader {
 public:
  Reader(const Source& source, const Surroundings& surroundings, Diagnostics& diagnostics)
      : source_(source), surroundings_(surroundings), diagnostics_(diagnostics) {}

  Draft run(const Node& root) {
    Fields top(root, "the file", diagnostics_);
    top.hint("library", kLibraryHelp);
    read_topology(top);
    for (const auto& table : top.tables("supervisor")) read_supervisor(*table.node, table.what);
    for (const auto& table : top.tables("library")) read_library(*table.node, table.what);
    for (const auto& table : top.tables("process")) read_process(*table.node, table.what);
    for (const auto& table : top.tables("link")) read_link(*table.node, table.what);
    top.finish();
    explain_unknown_actors();
    return std::move(draft_);
  }

 private:
  void read_topology(Fields& top) {
    draft_.name = std::filesystem::path(source_.name).stem();
    const Node* table = top.of("topology", Node::Kind::table);
    if (!table) return;
    Fields fields(*table, "[topology]", diagnostics_);
    fields.hint("library", kLibraryHelp);
    if (const auto name = fields.text("name")) draft_.name = *name;
    fields.finish();
  }

  void read_supervisor(const Node& table, const std::string& what) {
    Draft::Supervisor entry;
    entry.table = &table;
    const bool named = table.find("name") != nullptr;
    Fields fields(table, what, diagnostics_);
    fields.hint("library", kLibraryHelp);
    entry.child.id = read_name(fields, table, Draft::What::supervisor);
    entry.spec = standard_supervisor();
    read_policy(fields, entry.spec);
    if (named) {
      read_child(fields, entry.child, supervisor::Restart::transient, kForever);  // each of its children has its own time
      read_under(fields, entry.under, entry.under_place, table);
      read_one_process(fields, entry, table);
    } else {
      for (const char* key : {"under", "restart", "significant", "stop_timeout", "one_process", "watchdog", "keep_stderr"})
        if (const Entry* misplaced = (fields.any(key), table.find(key)))
          diagnostics_.add(Code::supervision, misplaced->place, fmt::format("the top supervisor cannot have `{}`", key), "nobody is above it")
              .help.push_back("give this supervisor a `name` if it is not the top one");
      if (draft_.top) {
        diagnostics_.add(Code::name, table.place, "a second supervisor without a name", "needs `name`")
            .notes.push_back(fmt::format("the top one, which has none, is in line {}", draft_.top->table->place.line));
        fields.finish();
        return;
      }
      draft_.top = std::move(entry);
    }
    fields.finish();
    if (named) draft_.supervisors.push_back(std::move(entry));
  }

  void read_one_process(Fields& fields, Draft::Supervisor& entry, const Node& table) {
    if (fields.boolean("one_process").value_or(false)) entry.one_process = std::make_shared<OneProcess>();
    const Duration watchdog = read_watchdog(fields, table);
    const bool keep_stderr = fields.boolean("keep_stderr").value_or(false);
    if (entry.one_process) {
      entry.one_process->watchdog = watchdog;
      entry.one_process->keep_stderr = keep_stderr;
      return;
    }
    if (const Entry* misplaced = table.find("watchdog"))
      diagnostics_.add(Code::supervision, misplaced->place, "this supervisor is no process that could be watched", "needs `one_process = true`");
    if (const Entry* misplaced = table.find("keep_stderr"))
      diagnostics_.add(Code::supervision, misplaced->place, "this supervisor is no process that could print anything", "needs `one_process = true`");
  }

  Duration read_watchdog(Fields& fields, const Node& table) {
    const Duration watchdog = fields.duration("watchdog", true).value_or(kForever);
    if (watchdog < kWatchdogMin) diagnostics_.add(Code::value, table.find("watchdog")->value.place, "a watchdog has from 10ms on", "too short");
    return watchdog;
  }

  void read_policy(Fields& fields, SupervisorSpec& spec) {
    static constexpr const char* kStrategies[] = {"one_for_one", "one_for_all", "rest_for_one"};
    static constexpr const char* kAuto[] = {"never", "any_significant", "all_significant"};
    if (const auto strategy = fields.choice("strategy", kStrategies)) spec.strategy = static_cast<supervisor::Strategy>(*strategy);
    if (const auto restarts = fields.integer("max_restarts", 0, 1000000)) spec.max_restarts = static_cast<unsigned>(*restarts);
    if (const auto seconds = fields.seconds("max_seconds")) spec.max_seconds = *seconds;
    if (const auto shutdown = fields.choice("auto_shutdown", kAuto)) spec.auto_shutdown = static_cast<supervisor::AutoShutdown>(*shutdown);
    if (const Node* table = fields.of("backoff", Node::Kind::table)) read_backoff(*table, spec.backoff);
  }

  void read_backoff(const Node& table, supervisor::Backoff& backoff) {
    Fields fields(table, "`backoff`", diagnostics_);
    if (const auto min = fields.duration("min")) backoff.min = *min;
    if (const auto max = fields.duration("max")) backoff.max = *max;
    if (const auto factor = fields.number("factor", 1, 100)) backoff.factor = *factor;
    if (const auto jitter = fields.number("jitter", 0, 1)) backoff.jitter = *jitter;
    if (const auto reset = fields.duration("reset")) backoff.reset = *reset;
    fields.finish();
    if (backoff.min > backoff.max)
      diagnostics_.add(Code::supervision, table.place, "`min` of the back-off is more than its `max`", "contradicts itself");
  }

  // What every child has: process or supervisor.
  void read_child(Fields& fields, ChildSpec& child, supervisor::Restart restart_else, Duration stop_timeout_else) {
    static constexpr const char* kRestarts[] = {"permanent", "transient", "temporary"};
    const auto restart = fields.choice("restart", kRestarts);
    child.restart = restart ? static_cast<supervisor::Restart>(*restart) : restart_else;
    child.significant = fields.boolean("significant").value_or(false);
    child.stop_timeout = fields.duration("stop_timeout", true).value_or(stop_timeout_else);
  }

  void read_under(Fields& fields, std::string& under, Place& place, const Node& table) {
    if (const auto name = fields.text("under")) under = *name;
    if (const Entry* entry = table.find("under")) place = entry->value.place;
  }

  // A name of a process or supervisor: they share one space, so that `under` and messages are clear.
  std::string read_name(Fields& fields, const Node& table, Draft::What what) {
    const auto name = fields.text("name");
    if (!name) return "";
    const Place place = table.find("name")->value.place;
    const auto fits = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.'; };
    if (name->empty() || name->size() > kNameMax || !std::ranges::all_of(*name, fits))
      diagnostics_.add(Code::name, place, fmt::format("`{}` cannot be a name", name->substr(0, kNameMax)), "unfit")
          .notes.push_back(fmt::format("names have 1 to {} characters of A to Z, a to z, 0 to 9, `_`, `-` and `.`", kNameMax));
    take_name(*name, place, what);
    return *name;
  }

  void take_name(const std::string& name, const Place& place, Draft::What what) {
    const auto [other, is_new] = draft_.names.emplace(name, Draft::Name{place, what});
    if (!is_new)
      diagnostics_.add(Code::name, place, fmt::format("the name `{}` is taken", name), "again")
          .notes.push_back(fmt::format("it is used first in line {}", other->second.place.line));
  }

  void read_library(const Node& table, const std::string& what) {
    Fields fields(table, what, diagnostics_);
    const auto path = fields.text("path");
    if (!path && !table.find("path")) fields.missing("path");
    fields.finish();
    if (!path) return;
    const LibraryActors& loaded = library(*path, table.find("path")->value.place);
    if (!loaded.error.empty()) all_known_ = false;
    for (const auto& actor : loaded.actors)
      types_.emplace(actor.name, ActorType{actor.arguments, resolve(*path)});
  }

  // Relative to the folder of the topology file.
  std::string resolve(const std::string& path) const {
    std::error_code none;  // also where the path is empty, or the current folder is gone
    const auto folder = std::filesystem::absolute("." / std::filesystem::path(source_.name).parent_path(), none);
    return (folder / path).lexically_normal();
  }

  // What is wrong with a library is said once, where the file first names it.
  const LibraryActors& library(const std::string& path, const Place& place) {
    const auto [entry, is_new] = libraries_.try_emplace(resolve(path), Library{path, {}});
    LibraryActors& actors = entry->second.actors;
    if (!is_new) return actors;
    actors = surroundings_.inspect(entry->first);
    if (actors.schemas) draft_.schemas.push_back(actors.schemas);
    if (actors.error.empty()) return actors;
    auto& diagnostic =
        diagnostics_.add(Code::library, place, fmt::format("cannot use the library `{}`: {}", path, actors.error));
    if (!actors.help.empty()) diagnostic.help.push_back(actors.help);
    return actors;
  }

  void read_process(const Node& table, const std::string& what) {
    Draft::Process entry;
    entry.table = &table;
    Fields fields(table, what, diagnostics_);
    entry.child.id = read_name(fields, table, Draft::What::process);
    if (!table.find("name")) fields.missing("name");
    read_child(fields, entry.child, supervisor::Restart::permanent, kStopTimeout);
    read_under(fields, entry.under, entry.under_place, table);
    entry.child.start_timeout = fields.duration("start_timeout", true).value_or(kStartTimeout);
    entry.work.watchdog = read_watchdog(fields, table);
    entry.work.keep_stderr = fields.boolean("keep_stderr").value_or(false);
    entry.count = fields.integer("count", 1, kCountMax);
    if (entry.count && !entry.child.id.empty())
      for (std::int64_t i = 0; i < *entry.count; ++i) take_name(fmt::format("{}.{}", entry.child.id, i), table.find("name")->value.place, Draft::What::process);
    if (const Node* environment = fields.of("env", Node::Kind::table)) read_environment(*environment, entry.work);
    read_actor(fields, entry, table);
    fields.finish();
    draft_.processes.push_back(std::move(entry));
  }

  void read_environment(const Node& table, ActorWork& work) {
    for (const Entry& entry : table.entries) {
      if (entry.value.kind != Node::Kind::text) wrong_type(diagnostics_, entry.value, entry.key, "text");
      else if (entry.key.empty() || entry.key.find('=') != std::string::npos || (entry.key + entry.value.text).find('\0') != std::string::npos)
        diagnostics_.add(Code::value, entry.place, "this cannot stand in an environment", "a name has no `=`, and neither has a zero byte");
      else work.environment.emplace_back(entry.key, entry.value.text);
    }
  }

  void read_actor(Fields& fields, Draft::Process& entry, const Node& table) {
    const auto actor = fields.text("actor");
    const auto path = fields.text("library");
    const Node* args = fields.of("args", Node::Kind::table);
    if (!actor && !table.find("actor")) fields.missing("actor");
    if (path) {
      const auto& loaded = library(*path, table.find("library")->value.place);
      if (!loaded.error.empty() || !actor) return;
      const auto found = std::ranges::find(loaded.actors, *actor, &LibraryActors::Actor::name);
      if (found != loaded.actors.end()) return use_actor(entry, *actor, {found->arguments, resolve(*path)}, args, table);
      std::vector<std::string> known;
      for (const auto& one : loaded.actors) known.push_back(one.name);
      auto& diagnostic = unknown_actor(*actor, table, known, fmt::format("`{}` has", *path));
      if (surroundings_.catalog && surroundings_.catalog->find(*actor))
        diagnostic.help.push_back("leave `library` out: it is a ready-made actor");
      return;
    }
    if (!actor) return;
    if (const auto own = types_.find(*actor); own != types_.end()) return use_actor(entry, *actor, own->second, args, table);
    if (const auto* made = surroundings_.catalog ? surroundings_.catalog->find(*actor) : nullptr)
      return use_actor(entry, *actor, {made->arguments, ""}, args, table);
    if (!all_known_) return;  // it may be one of a library of which the worst was said already
    auto known = surroundings_.catalog ? surroundings_.catalog->names() : std::vector<std::string>{};
    for (const auto& [name, type] : types_) known.push_back(name);
    unknown_.emplace_back(*actor, &unknown_actor(*actor, table, known, "known actors:"));
  }

  // One that only the library of another process has.
  void explain_unknown_actors() {
    for (auto& [actor, diagnostic] : unknown_)
      for (const auto& [resolved, library] : libraries_)
        if (std::ranges::find(library.actors.actors, actor, &LibraryActors::Actor::name) != library.actors.actors.end())
          diagnostic->help.insert(diagnostic->help.begin(),
                                  fmt::format("`{}` has it: write `library = \"{}\"` here, too", library.path, library.path));
  }

  Diagnostic& unknown_actor(const std::string& actor, const Node& table, const std::vector<std::string>& known,
                            const std::string& who) {
    auto& diagnostic = diagnostics_.add(Code::actor, table.find("actor")->value.place, fmt::format("unknown actor `{}`", actor), "no such actor");
    if (const auto near = closest(actor, known); !near.empty()) diagnostic.help.push_back(fmt::format("did you mean `{}`?", near));
    diagnostic.notes.push_back(known.empty() ? fmt::format("{} none", who) : fmt::format("{} {}", who, list_of(known)));
    return diagnostic;
  }

  void use_actor(Draft::Process& entry, const std::string& actor, const ActorType& type, const Node* args, const Node& table) {
    entry.work.actor = actor;
    entry.work.library = type.library;
    if (args || !table.find("args"))
      entry.work.arguments =
          build_arguments(type.arguments, args, table.find("actor")->value.place, actor, draft_.references, diagnostics_);
  }

  void read_link(const Node& table, const std::string& what) {
    static constexpr const char* kTransports[] = {"ring", "pipe"};
    Fields fields(table, what, diagnostics_);
    Link link;
    const Node* between = fields.of("between", Node::Kind::array);
    const auto kind = fields.choice("transport", kTransports);
    const auto ring = fields.size("ring_size");
    if (kind) link.options.kind = static_cast<transport::Kind>(*kind);
    if (ring) check_ring(link, *ring, *table.find("ring_size"));
    if (!between && !table.find("between")) fields.missing("between");
    fields.finish();
    if (!between) return;
    if (between->items.size() != 2 || std::ranges::any_of(between->items, [](const Node& n) { return n.kind != Node::Kind::text; })) {
      diagnostics_.add(Code::type, between->place, "`between` must be two names", "expected two names")
          .help.push_back("write `between = [\"one\", \"other\"]`");
      return;
    }
    link.a = between->items[0].text;
    link.b = between->items[1].text;
    draft_.links.push_back({between, std::move(link)});
  }

  void check_ring(Link& link, std::uint64_t bytes, const Entry& entry) {
    if (link.options.kind != transport::Kind::ring)
      diagnostics_.add(Code::value, entry.place, "`ring_size` without a ring", "this link is a pipe");
    else if (!std::has_single_bit(bytes) || bytes < kRingMin || bytes > kRingMax)
      diagnostics_.add(Code::value, entry.value.place, "a ring has from 4KiB to 1GiB, and a power of two of bytes", "out of range")
          .help.push_back("write `ring_size = \"1MiB\"`");
    link.options.ring_bytes = bytes;
  }

  const Source& source_;
  const Surroundings& surroundings_;
  Diagnostics& diagnostics_;
  Draft draft_;
  std::map<std::string, ActorType> types_;  // of [[library]]
  bool all_known_ = true;                   // there
  std::map<std::string, Library> libraries_;                  // by their full paths
  std::vector<std::pair<std::string, Diagnostic*>> unknown_;  // actors, and what was said of them
};

}  // namespace

SupervisorSpec standard_supervisor() {
  SupervisorSpec spec;
  spec.first_start = supervisor::FirstStart::retry;
  spec.end_when_done = true;
  spec.backoff.min = std::chrono::milliseconds(100);
  return spec;
}

Draft read_draft(const Node& root, const Source& source, const Surroundings& surroundings, Diagnostics& diagnostics) {
  return Reader(source, surroundings, diagnostics).run(root);
}

}  // namespace troupe::topology
