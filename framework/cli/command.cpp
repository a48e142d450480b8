#include "cli/command.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <cstdio>
#include <exception>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "cli/color.h"
#include "process/origin.h"
#include "topology/arguments.h"
#include "topology/run.h"
#include "topology/topology.h"

namespace troupe::cli {

namespace {

enum ExitCode { kDone = 0, kFailed = 1, kUsage = 2 };

struct Words {
  std::string color = "auto";
  std::string file;
  bool json = false;
  std::string actor;
  std::string library;
};

// Out to standard output; false if it is gone.
bool print(const std::string& text) {
  return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
}

// A topology file that was read, and what is wrong with it.
struct Checked {
  topology::Source source;
  topology::Diagnostics diagnostics;
  std::optional<topology::Topology> topology;
};

Checked read(const std::string& file, const ActorCatalog& catalog) {
  Checked checked;
  checked.source.name = file;
  if (auto text = topology::read_file(file, checked.diagnostics)) {
    checked.source.text = std::move(*text);
    topology::Surroundings surroundings;
    surroundings.catalog = &catalog;
    checked.topology = topology::check(checked.source, surroundings, checked.diagnostics);
  }
  return checked;
}

int refuse(const Checked& checked, const Words& words) {
  fmt::print(stderr, "{}", checked.diagnostics.render(checked.source, use_color(words.color, STDERR_FILENO)));
  return kUsage;
}

int check(const Words& words, const ActorCatalog& catalog) {
  const Checked checked = read(words.file, catalog);
  if (words.json) return !print(checked.diagnostics.json(checked.source)) ? kFailed : checked.topology ? kDone : kUsage;
  if (!checked.topology) return refuse(checked, words);
  const auto count = checked.topology->processes;
  return print(fmt::format("{}: ok, {} process{}\n", words.file, count, count == 1 ? "" : "es")) ? kDone : kFailed;
}

int run(const Words& words, const ActorCatalog& catalog, const process::Origin& origin, void (*add_actors)(ActorCatalog&)) {
  const Checked checked = read(words.file, catalog);
  if (!checked.topology) return refuse(checked, words);
  return topology::run(*checked.topology, origin, {.add_actors = add_actors, .color = use_color(words.color, STDERR_FILENO)});
}

using topology::json_string;

// What has a unit in the file is text; all else is the same in JSON.
std::string json_default(const std::string& standard) {
  if (standard.empty()) return "null";
  const bool same = standard.front() == '"' || standard == "true" || standard == "false" ||
                    (standard.back() >= '0' && standard.back() <= '9');
  return same ? standard : json_string(standard);
}

std::string json_of(const topology::LibraryActors::Actor& actor) {
  std::string arguments;
  for (const auto& one : topology::describe_arguments(actor.arguments)) {
    arguments +=
        fmt::format("{}\n    {{\"name\": {}, \"type\": {}, \"required\": {}, \"default\": {}}}", arguments.empty() ? "" : ",",
                    json_string(one.name), json_string(one.type), one.required, json_default(one.standard));
  }
  return fmt::format("{{\"name\": {}, \"arguments\": [{}]}}", json_string(actor.name), arguments);
}

std::string text_of(const topology::LibraryActors::Actor& actor) {
  std::string text = actor.name + "\n";
  for (const auto& one : topology::describe_arguments(actor.arguments)) text += "    " + one.describe() + "\n";
  return text;
}

// Those of the library that the words name, else the ready-made ones.
topology::LibraryActors actors_of(const Words& words, const ActorCatalog& catalog) {
  if (!words.library.empty()) return topology::inspect_library(std::filesystem::absolute(words.library));
  topology::LibraryActors ready_made;
  for (const auto& name : catalog.names()) ready_made.actors.push_back({name, catalog.find(name)->arguments});
  return ready_made;
}

int list_actors(const Words& words, const ActorCatalog& catalog) {
  const topology::LibraryActors known = actors_of(words, catalog);
  if (!known.error.empty()) {
    fmt::print(stderr, "troupe: cannot use the library `{}`: {}\n{}", words.library, known.error,
               known.help.empty() ? "" : known.help + "\n");
    return kUsage;
  }
  std::string text, json;
  std::vector<std::string> names;
  for (const auto& actor : known.actors) {
    names.push_back(actor.name);
    if (!words.actor.empty() && actor.name != words.actor) continue;
    text += text_of(actor);
    json += (json.empty() ? "\n  " : ",\n  ") + json_of(actor);
  }
  if (!words.actor.empty() && text.empty()) {
    const auto near = topology::closest(words.actor, names);
    fmt::print(stderr, "troupe: there is no {} `{}`{}\n", words.library.empty() ? "ready-made actor" : "actor", words.actor,
               near.empty() ? "" : "; did you mean `" + near + "`?");
    return kUsage;
  }
  return print(words.json ? "[" + json + "\n]\n" : text) ? kDone : kFailed;
}

std::vector<std::string> options_of(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options())
    for (const auto& name : option->get_lnames()) names.push_back("--" + name);
  return names;
}

// One line of what is wrong and one of what to do about it.
int usage_error(const CLI::App& app, const std::string& what, const std::string& meant) {
  fmt::print(stderr, "troupe: {}{}\n", what, meant.empty() ? "" : fmt::format("; did you mean `{}`?", meant));
  fmt::print(stderr, "See `{} --help`.\n", app.get_parent() ? app.get_parent()->get_name() + " " + app.get_name() : app.get_name());
  return kUsage;
}

// What CLI11 says is good enough, except for words that it does not know.
int explain(CLI::App& app, const CLI::ParseError& error) {
  const auto chosen = app.get_subcommands();
  const CLI::App& here = chosen.empty() ? app : *chosen.front();
  const auto extras = app.remaining(true);
  if (!extras.empty() && chosen.empty() && !extras.front().starts_with("-")) {
    std::vector<std::string> known;
    for (const CLI::App* command : app.get_subcommands(nullptr)) known.push_back(command->get_name());
    return usage_error(app, fmt::format("there is no command `{}`", extras.front()), topology::closest(extras.front(), known));
  }
  if (!extras.empty() && extras.front().starts_with("-")) {
    const std::string option = extras.front().substr(0, extras.front().find('='));
    return usage_error(here, fmt::format("there is no option `{}`", option), topology::closest(option, options_of(here)));
  }
  if (!extras.empty()) return usage_error(here, fmt::format("`{}` is one argument too many", extras.front()), "");
  if (chosen.empty() && dynamic_cast<const CLI::RequiredError*>(&error)) return usage_error(app, "which command?", "");
  return usage_error(here, error.what(), "");
}

// The command line, as CLI11 knows it; fills in `words`.
void describe(CLI::App& app, Words& words) {
  const auto add_color = [&words](CLI::App& command) {
    command.add_option("--color", words.color, "auto, always or never")
        ->option_text("WHEN")
        ->check(CLI::IsMember({"auto", "always", "never"}));
  };
  app.name("troupe");
  app.set_version_flag("--version", "troupe " TROUPE_VERSION);
  app.require_subcommand(1);
  app.footer(
      "Exit codes: 0 done, 1 failed at run time, 2 usage or configuration.\n"
      "After Ctrl-C or SIGTERM everything is stopped in order and the command dies of that signal.");
  add_color(app);

  CLI::App* run_command = app.add_subcommand("run", "Run a topology until its work is done");
  run_command->add_option("file", words.file, "The topology: TOML")->option_text("FILE")->required();
  run_command->footer("Everything is checked before anything starts. Ctrl-C stops all in order, a second one at once.");
  add_color(*run_command);

  CLI::App* check_command = app.add_subcommand("check", "Say everything that is wrong with a topology, and start nothing");
  check_command->add_option("file", words.file, "The topology: TOML")->option_text("FILE")->required();
  check_command->add_flag("--json", words.json, "The errors as a JSON array on standard output");
  check_command->footer(
      "Libraries of actors are loaded in a process of their own, to ask for their actors.\n"
      "What may stand in the file, and what the error codes mean: docs/topology.md (installed: share/doc/troupe).");
  add_color(*check_command);

  CLI::App* actors_command =
      app.add_subcommand("actors", "List the ready-made actors, or those of a library, and their arguments");
  actors_command->add_option("name", words.actor, "This one only")->option_text("[NAME]");
  actors_command->add_option("--library", words.library, "Those of this library")->option_text("FILE");
  actors_command->add_flag("--json", words.json, "As a JSON array");
}

int obey(int argc, char** argv, void (*add_actors)(ActorCatalog&)) {
  // Before anything is opened: what is open now is for the processes of the topology, too.
  static const process::Origin origin;
  Words words;
  CLI::App app("Supervised actors in processes");
  describe(app, words);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& wish) {  // --help or --version
    return app.exit(wish);
  } catch (const CLI::ParseError& error) {
    return explain(app, error);
  }
  ActorCatalog catalog;
  add_actors(catalog);
  if (app.got_subcommand("check")) return check(words, catalog);
  if (app.got_subcommand("actors")) return list_actors(words, catalog);
  return run(words, catalog, origin, add_actors);
}

}  // namespace

int main_command(int argc, char** argv, void (*add_actors)(ActorCatalog& catalog)) {
  try {
    return obey(argc, argv, add_actors);
  } catch (const std::exception& error) {
    fmt::print(stderr, "troupe: {}\n", error.what());
    return kFailed;
  }
}

}  // namespace troupe::cli
