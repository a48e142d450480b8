#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <troupe/duration.h>

#include "topology/diagnostics.h"
#include "topology/toml.h"

namespace troupe::topology {

// Reads a table key by key, and notes what is wrong: a key that is not asked for is unknown, a value of another type an error.
//
//     Fields fields(table, "[topology]", diagnostics);
//     const auto name = fields.text("name");
//     fields.finish();
//
// A getter answers with nothing both where the key is absent and where its value is wrong; wrong ones were noted.
//
// Threads: confined to one thread at a time.
class Fields {
 public:
  // A table, and how the file writes its header: "[supervisor]", "[[process]]".
  struct Table {
    const Node* node;
    std::string what;
  };

  // `what` names the table in messages; it must be one.
  Fields(const Node& table, std::string what, Diagnostics& diagnostics)
      : table_(table), what_(std::move(what)), diagnostics_(diagnostics) {}

  const Node* any(const char* key);
  const Node* of(const char* key, Node::Kind kind);
  std::optional<std::string> text(const char* key);
  std::optional<bool> boolean(const char* key);
  std::optional<std::int64_t> integer(const char* key, std::int64_t min, std::int64_t max);
  std::optional<double> number(const char* key, double min, double max);
  std::optional<Duration> duration(const char* key, bool infinity_allowed = false);
  // A duration, or a bare number of seconds: for a key that says so in its name.
  std::optional<Duration> seconds(const char* key);
  std::optional<std::uint64_t> size(const char* key);
  // The one of `words` that the text is, by its position.
  std::optional<std::size_t> choice(const char* key, std::span<const char* const> words);
  // The tables of [[key]], or of a single [key].
  std::vector<Table> tables(const char* key);

  // What to say of `key` where it is a mistake: unknown, or of another type.
  void hint(const char* key, std::string help) { hints_[key] = std::move(help); }

  void missing(const char* key);
  // Notes the keys that were not asked for.
  void finish();

  [[nodiscard]] Diagnostics& diagnostics() { return diagnostics_; }

 private:
  const Node& table_;
  std::string what_;
  Diagnostics& diagnostics_;
  std::vector<std::string> known_;
  std::map<std::string, std::string> hints_;
};

void wrong_type(Diagnostics& diagnostics, const Node& node, const std::string& key, const char* wanted);

// A duration or a size that was given as text with a unit; else notes what is wrong with it.
std::optional<Duration> duration_of(const Node& node, const std::string& key, Diagnostics& diagnostics);
std::optional<std::uint64_t> size_of(const Node& node, const std::string& key, Diagnostics& diagnostics);

}  // namespace troupe::topology
