#include "topology/fields.h"

#include <fmt/format.h>

#include <algorithm>

#include "topology/units.h"

namespace troupe::topology {

namespace {

void bad_unit(Diagnostics& diagnostics, const Node& node, const std::string& message, const char* example) {
  diagnostics.add(Code::unit, node.place, message).help.push_back(fmt::format("write text with a unit, as in `{}`", example));
}

}  // namespace

void wrong_type(Diagnostics& diagnostics, const Node& node, const std::string& key, const char* wanted) {
  diagnostics.add(Code::type, node.place, fmt::format("`{}` must be {}, not {}", key, wanted, name_of(node.kind)),
                  fmt::format("expected {}", wanted));
}

std::optional<Duration> duration_of(const Node& node, const std::string& key, Diagnostics& diagnostics) {
  const auto duration = node.kind == Node::Kind::text ? parse_duration(node.text) : std::nullopt;
  if (duration) return duration;
  if (node.kind == Node::Kind::integer) bad_unit(diagnostics, node, fmt::format("`{}` needs a unit", key), fmt::format("\"{}s\"", node.integer < 0 ? 5 : node.integer).c_str());
  else if (node.kind == Node::Kind::text) bad_unit(diagnostics, node, fmt::format("`{}` is not a duration", node.text), "\"1m30s\"");
  else wrong_type(diagnostics, node, key, "a duration");
  return std::nullopt;
}

std::optional<std::uint64_t> size_of(const Node& node, const std::string& key, Diagnostics& diagnostics) {
  const auto size = node.kind == Node::Kind::text ? parse_size(node.text) : std::nullopt;
  if (size) return size;
  if (node.kind == Node::Kind::integer) bad_unit(diagnostics, node, fmt::format("`{}` needs a unit", key), "\"64KiB\"");
  else if (node.kind == Node::Kind::text) bad_unit(diagnostics, node, fmt::format("`{}` is not a size", node.text), "\"64KiB\"");
  else wrong_type(diagnostics, node, key, "a size");
  return std::nullopt;
}

const Node* Fields::any(const char* key) {
  known_.emplace_back(key);
  const Entry* entry = table_.find(key);
  return entry ? &entry->value : nullptr;
}

const Node* Fields::of(const char* key, Node::Kind kind) {
  const Node* node = any(key);
  if (node && node->kind != kind) {
    wrong_type(diagnostics_, *node, key, name_of(kind));
    return nullptr;
  }
  return node;
}

std::optional<std::string> Fields::text(const char* key) {
  const Node* node = of(key, Node::Kind::text);
  return node ? std::optional(node->text) : std::nullopt;
}

std::optional<bool> Fields::boolean(const char* key) {
  const Node* node = of(key, Node::Kind::boolean);
  return node ? std::optional(node->boolean) : std::nullopt;
}

std::optional<std::int64_t> Fields::integer(const char* key, std::int64_t min, std::int64_t max) {
  const Node* node = of(key, Node::Kind::integer);
  if (!node) return std::nullopt;
  if (node->integer >= min && node->integer <= max) return node->integer;
  diagnostics_.add(Code::value, node->place, fmt::format("`{}` must be from {} to {}, not {}", key, min, max, node->integer),
                   "out of range");
  return std::nullopt;
}

std::optional<double> Fields::number(const char* key, double min, double max) {
  const Node* node = any(key);
  if (!node) return std::nullopt;
  if (node->kind != Node::Kind::integer && node->kind != Node::Kind::real) {
    wrong_type(diagnostics_, *node, key, "a number");
    return std::nullopt;
  }
  const double value = node->kind == Node::Kind::real ? node->real : static_cast<double>(node->integer);
  if (value >= min && value <= max) return value;  // never true of NaN
  diagnostics_.add(Code::value, node->place, fmt::format("`{}` must be from {} to {}", key, min, max), "out of range");
  return std::nullopt;
}

std::optional<Duration> Fields::duration(const char* key, bool infinity_allowed) {
  const Node* node = any(key);
  if (!node) return std::nullopt;
  if (infinity_allowed && node->kind == Node::Kind::text && node->text == "infinity") return kForever;
  return duration_of(*node, key, diagnostics_);
}

std::optional<Duration> Fields::seconds(const char* key) {
  const Node* node = any(key);
  if (!node) return std::nullopt;
  if (node->kind != Node::Kind::integer) return duration_of(*node, key, diagnostics_);
  constexpr std::int64_t kSecondsMax = std::chrono::duration_cast<std::chrono::seconds>(kForever).count();
  if (node->integer >= 0 && node->integer < kSecondsMax) return std::chrono::seconds(node->integer);
  diagnostics_.add(Code::value, node->place, fmt::format("`{}` must be from 0 to {} seconds", key, kSecondsMax - 1),
                   "out of range");
  return std::nullopt;
}

std::optional<std::uint64_t> Fields::size(const char* key) {
  const Node* node = any(key);
  return node ? size_of(*node, key, diagnostics_) : std::nullopt;
}

std::optional<std::size_t> Fields::choice(const char* key, std::span<const char* const> words) {
  const Node* node = of(key, Node::Kind::text);
  if (!node) return std::nullopt;
  const auto found = std::ranges::find(words, node->text);
  if (found != words.end()) return static_cast<std::size_t>(found - words.begin());
  const std::vector<std::string> known(words.begin(), words.end());
  auto& diagnostic = diagnostics_.add(Code::value, node->place, fmt::format("`{}` is no value of `{}`", node->text, key));
  if (const auto near = closest(node->text, known); !near.empty()) diagnostic.help.push_back(fmt::format("did you mean `{}`?", near));
  diagnostic.notes.push_back(fmt::format("its values are {}", list_of(known)));
  return std::nullopt;
}

std::vector<Fields::Table> Fields::tables(const char* key) {
  const Node* node = any(key);
  std::vector<Table> result;
  if (!node) return result;
  if (node->kind == Node::Kind::table) return {{node, fmt::format("[{}]", key)}};
  const auto refuse = [&](const Node& wrong) {
    auto& diagnostic =
        diagnostics_.add(Code::type, wrong.place, fmt::format("`{}` must be a table, not {}", key, name_of(wrong.kind)),
                         "expected a table");
    if (const auto hint = hints_.find(key); hint != hints_.end()) diagnostic.help.push_back(hint->second);
  };
  if (node->kind != Node::Kind::array) return refuse(*node), result;
  for (const Node& item : node->items) {
    if (item.kind == Node::Kind::table)
      result.push_back({&item, fmt::format("[[{}]]", key)});
    else
      refuse(item);
  }
  return result;
}

void Fields::missing(const char* key) {
  diagnostics_.add(Code::missing, table_.place, fmt::format("`{}` is missing in {}", key, what_), fmt::format("needs `{}`", key));
}

void Fields::finish() {
  for (const Entry& entry : table_.entries) {
    if (std::ranges::find(known_, entry.key) != known_.end()) continue;
    auto& diagnostic = diagnostics_.add(Code::unknown_key, entry.place, fmt::format("unknown key `{}` in {}", entry.key, what_), "unknown");
    const auto near = closest(entry.key, known_);
    if (const auto hint = hints_.find(entry.key); hint != hints_.end())
      diagnostic.help.push_back(hint->second);
    else if (!near.empty())
      diagnostic.help.push_back(fmt::format("did you mean `{}`?", near));
    else diagnostic.notes.push_back(fmt::format("known here: {}", list_of(known_)));
  }
}

}  // namespace troupe::topology
