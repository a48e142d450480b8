#include "topology/variables.h"

#include <fmt/format.h>

#include <cstdlib>
#include <utility>

namespace troupe::topology {

namespace {

// All that is put in together: a file is small, but it may ask for the same large variable again and again.
constexpr std::size_t kInsertedMax = std::size_t{4} << 20;

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

class Substitution {
 public:
  Substitution(const Source& source, const Variables& variables, Diagnostics& diagnostics)
      : source_(source), variables_(variables), diagnostics_(diagnostics) {}

  void walk(Node& node) {
    if (node.kind == Node::Kind::text) node.text = expand(node);
    for (Node& item : node.items) walk(item);
    for (Entry& entry : node.entries) walk(entry.value);
  }

 private:
  std::string expand(const Node& node) {
    std::string out;
    std::string_view rest = node.text;
    while (true) {
      const auto dollar = rest.find('$');
      out += rest.substr(0, dollar);
      if (dollar == std::string_view::npos) return out;
      rest.remove_prefix(dollar + 1);
      if (rest.starts_with('$')) {
        out += '$';
        rest.remove_prefix(1);
      } else if (rest.starts_with('{') && rest.find('}') != std::string_view::npos) {
        const auto inside = rest.substr(1, rest.find('}') - 1);
        rest.remove_prefix(inside.size() + 2);
        const std::string value = one(inside, node);
        inserted_ += value.size();
        if (inserted_ <= kInsertedMax) out += value;
        else if (!std::exchange(too_much_, true)) fault(node, inside, "the variables of this file are too long together", "");
      } else {
        fault(node, rest.substr(0, 0), "a dollar sign that begins no variable", "`${NAME}` is a variable, `$$` is a dollar sign");
        return out;
      }
    }
  }

  std::string one(std::string_view inside, const Node& node) {
    std::size_t length = 0;
    while (length < inside.size() && (is_letter(inside[length]) || (length > 0 && is_digit(inside[length])))) ++length;
    const std::string name(inside.substr(0, length));
    const std::string_view form = inside.substr(length);
    const std::string_view words = form.substr(std::min<std::size_t>(2, form.size()));
    const bool has_default = form.starts_with(":-"), has_message = form.starts_with(":?");
    if (name.empty() || !(form.empty() || has_default || has_message) || words.find('$') != std::string_view::npos) {
      fault(node, inside, fmt::format("`${{{}}}` is not a variable", inside), "write `${NAME}`, `${NAME:-default}` or `${NAME:?message}`");
      return "";
    }
    const auto value = variables_(name);
    if (value && (form.empty() || !value->empty())) return *value;
    if (has_default) return std::string(words);
    if (has_message)
      fault(node, inside, fmt::format("environment variable `{}` is {}: {}", name, value ? "empty" : "not set", words), "");
    else
      fault(node, inside, fmt::format("environment variable `{}` is not set", name), fmt::format("set it, or write `${{{}:-default}}`", name));
    return "";
  }

  void fault(const Node& node, std::string_view inside, std::string message, std::string help) {
    auto& diagnostic = diagnostics_.add(Code::variable, place(node, inside), std::move(message), "in this text");
    if (!help.empty()) diagnostic.help.push_back(std::move(help));
  }

  // Of the variable itself where it stands as it is on the line that the text begins on, else of the text.
  Place place(const Node& node, std::string_view inside) const {
    if (inside.empty() || diagnostics_.full()) return node.place;
    std::string_view text = source_.text;
    for (unsigned line = 1; line < node.place.line; ++line) text.remove_prefix(std::min(text.find('\n'), text.size() - 1) + 1);
    const std::string_view line = text.substr(0, text.find('\n'));
    const std::string written = fmt::format("${{{}}}", inside);
    for (auto at = line.find(written); at != std::string_view::npos; at = line.find(written, at + 1)) {
      const auto column = static_cast<unsigned>(characters(line.substr(0, at))) + 1;
      if (column > node.place.column) return {node.place.line, column, static_cast<unsigned>(characters(written))};
    }
    return node.place;
  }

  const Source& source_;
  const Variables& variables_;
  Diagnostics& diagnostics_;
  std::size_t inserted_ = 0;
  bool too_much_ = false;
};

}  // namespace

Variables environment_variables() {
  return [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    if (!value) return std::nullopt;
    return value;
  };
}

void substitute_variables(Node& node, const Source& source, const Variables& variables, Diagnostics& diagnostics) {
  Substitution(source, variables, diagnostics).walk(node);
}

}  // namespace troupe::topology
