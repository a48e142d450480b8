#include "topology/toml.h"

#include <algorithm>
#include <stdexcept>

#include <fmt/format.h>

// The only place that sees toml++. Its assertions become exceptions, also in release builds: without that a lone `[` goes on into
// undefined behaviour.
namespace {
struct AssertionFailed {};
[[noreturn]] void assertion_failed() { throw AssertionFailed{}; }
}  // namespace
#undef NDEBUG
#define TOML_ASSERT(condition) ((condition) ? static_cast<void>(0) : assertion_failed())
#define TOML_ENABLE_FORMATTERS 0
#include <toml++/toml.h>

namespace troupe::topology {

namespace {

Place place_of(const toml::source_region& region) {
  const auto length = region.begin.line == region.end.line && region.end.column > region.begin.column
                          ? region.end.column - region.begin.column
                          : 1;
  return {region.begin.line, region.begin.column, length};
}

Node convert(const toml::node& from);

Node convert_table(const toml::table& from, Node node) {
  node.kind = Node::Kind::table;
  for (const auto& [key, value] : from)
    node.entries.push_back({std::string(key.str()), place_of(key.source()), convert(value)});
  std::ranges::stable_sort(node.entries, {}, [](const Entry& entry) { return std::pair(entry.place.line, entry.place.column); });
  return node;
}

Node convert(const toml::node& from) {
  Node node;
  node.place = place_of(from.source());
  switch (from.type()) {
    case toml::node_type::table: return convert_table(*from.as_table(), std::move(node));
    case toml::node_type::array:
      node.kind = Node::Kind::array;
      for (const auto& item : *from.as_array()) node.items.push_back(convert(item));
      return node;
    case toml::node_type::string:
      node.kind = Node::Kind::text;
      node.text = from.as_string()->get();
      return node;
    case toml::node_type::integer:
      node.kind = Node::Kind::integer;
      node.integer = from.as_integer()->get();
      return node;
    case toml::node_type::floating_point:
      node.kind = Node::Kind::real;
      node.real = from.as_floating_point()->get();
      return node;
    case toml::node_type::boolean:
      node.kind = Node::Kind::boolean;
      node.boolean = from.as_boolean()->get();
      return node;
    default: node.kind = Node::Kind::time; return node;
  }
}

// A line that holds nothing but the beginning of a header: what the parser asserts not to meet.
Place lone_bracket(std::string_view text) {
  unsigned line = 1;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    const std::string_view whole = text.substr(0, end);
    const auto first = whole.find_first_not_of(" \t\r");
    if (first != std::string_view::npos && whole.find_first_not_of(" \t\r[", first) == std::string_view::npos)
      return {line, static_cast<unsigned>(first) + 1, 1};
    text.remove_prefix(std::min(end + 1, text.size()));
    ++line;
  }
  return {1, 1, 1};
}

// toml++'s sentence as one of ours.
std::string own_words(std::string_view description) {
  std::string text(description);
  if (const auto colon = text.find(": "); text.starts_with("Error while parsing") && colon != std::string::npos) text.erase(0, colon + 2);
  if (text.find("unescaped control characters other than TAB") != std::string::npos) return "the text is not closed on its line";
  std::ranges::replace(text, '\'', '`');
  return text;
}

}  // namespace

const char* name_of(Node::Kind kind) {
  static constexpr const char* kNames[] = {"a table", "a list", "text", "an integer", "a number", "true or false", "a date or time"};
  return kNames[static_cast<std::size_t>(kind)];
}

const Entry* Node::find(std::string_view key) const {
  const auto found = std::ranges::find_if(entries, [&](const Entry& entry) { return entry.key == key; });
  return found == entries.end() ? nullptr : &*found;
}

std::optional<Node> parse_toml(const Source& source, Diagnostics& diagnostics) {
  if (!check_text(source.text, diagnostics)) return std::nullopt;
  try {
    return convert(toml::parse(std::string_view(source.text)));
  } catch (const toml::parse_error& error) {
    auto place = place_of(error.source());
    // At the end of the file there is nothing to point at but the last line.
    const auto lines = 1 + static_cast<unsigned>(std::ranges::count(source.text, '\n'));
    place.line = std::clamp(place.line, 1u, lines);
    place.column = std::max(place.column, 1u);
    const std::string what = own_words(error.description());
    auto& diagnostic = diagnostics.add(Code::syntax, place, what, "the file cannot be read on from here");
    if (what.find("array-of-tables") != std::string::npos)
      diagnostic.help.push_back("tables are written either `[x]`, once, or `[[x]]`, as often as needed");
  } catch (const AssertionFailed&) {
    diagnostics.add(Code::syntax, lone_bracket(source.text), "the name of a table is missing", "nothing follows");
  }
  return std::nullopt;
}

}  // namespace troupe::topology
