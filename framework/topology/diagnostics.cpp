#include "topology/diagnostics.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <span>

namespace troupe::topology {

namespace {

constexpr std::size_t kExcerptMax = 120;  // characters of a line

bool continues(char byte) { return (static_cast<unsigned char>(byte) & 0xc0) == 0x80; }

std::string_view line_of(std::string_view text, unsigned line) {
  for (unsigned i = 1; i < line; ++i) {
    const auto end = text.find('\n');
    if (end == std::string_view::npos) return {};
    text.remove_prefix(end + 1);
  }
  return text.substr(0, text.find('\n'));
}

// Words of the file may stand in messages; control characters in them are not to reach the terminal.
std::string printable(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const bool second_set = byte == 0xc2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xa0;  // U+0080 to U+009F
    if (second_set) ++i;
    out += byte < 0x20 || byte == 0x7f || second_set ? '?' : text[i];
  }
  return out;
}

struct Excerpt {
  std::string text;
  std::size_t column;  // of the place in it, from 0
};

// The line as it can be printed: one column a character, nothing that moves a cursor, and only the part around `column`.
Excerpt excerpt(std::string_view line, std::size_t column) {
  std::vector<std::string> shown;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const auto byte = static_cast<unsigned char>(line[i]);
    if (byte == '\r' && i + 1 == line.size()) break;
    if (byte >= 0x80 && continues(line[i]) && !shown.empty() && !shown.back().empty() && (shown.back()[0] & 0x80)) shown.back() += line[i];
    else if (byte < 0x20 || byte == 0x7f) shown.emplace_back(byte == '\t' ? " " : "?");
    else shown.emplace_back(1, line[i]);
  }
  const std::size_t begin = column > kExcerptMax / 2 && shown.size() > kExcerptMax ? std::min(column - kExcerptMax / 2, shown.size()) : 0;
  const std::size_t end = std::min(shown.size(), begin + kExcerptMax);
  Excerpt result{begin > 0 ? "…" : "", column - begin + (begin > 0 ? 1 : 0)};
  for (std::size_t i = begin; i < end; ++i) {
    // Stray bytes of broken UTF-8 would spoil the terminal.
    const auto lead = static_cast<unsigned char>(shown[i][0]);
    const std::size_t wanted = lead < 0x80 ? 1 : lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    result.text += shown[i].size() == wanted && lead != 0xc0 && lead != 0xc1 && lead < 0xf5 ? printable(shown[i]) : "?";
  }
  if (end < shown.size()) result.text += "…";
  return result;
}

constexpr std::size_t kWordMax = 64;  // nobody means anything by more

// How alike two words are: insertions, deletions, replacements and swaps of neighbours between them.
std::size_t distance(std::string_view a, std::string_view b) {
  std::array<std::size_t, kWordMax + 1> before{}, last{}, now{};
  std::iota(last.begin(), last.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    now[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const bool same = a[i - 1] == b[j - 1];
      now[j] = std::min({last[j] + 1, now[j - 1] + 1, last[j - 1] + (same ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) now[j] = std::min(now[j], before[j - 2] + 1);
    }
    std::swap(before, last);
    std::swap(last, now);
  }
  return last[b.size()];
}

std::string plain(std::string_view word) {
  std::string result;
  for (const char c : word)
    if (c != '_' && c != '-') result += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return result;
}

struct Colors {
  const char *error, *frame, *bold, *off;
};
constexpr Colors kColors{"\x1b[1;31m", "\x1b[1;34m", "\x1b[1m", "\x1b[0m"};
constexpr Colors kNoColors{"", "", "", ""};

std::string render_one(const Diagnostic& diagnostic, const Source& source, const Colors& c) {
  std::string out = fmt::format("{}error[E{:03}]{}{}: {}{}\n", c.error, static_cast<unsigned>(diagnostic.code), c.off, c.bold,
                                printable(diagnostic.message), c.off);
  const Place& place = diagnostic.place;
  const std::string number = place.line ? std::to_string(place.line) : "";
  const std::string margin(std::max<std::size_t>(number.size(), 1), ' ');
  if (place.line == 0) {
    out += fmt::format("{}{}-->{} {}\n", margin, c.frame, c.off, source.name);
  } else {
    out += fmt::format("{}{}-->{} {}:{}:{}\n", margin, c.frame, c.off, source.name, place.line, place.column);
    const auto shown = excerpt(line_of(source.text, place.line), place.column - 1);
    const std::size_t room = std::max<std::size_t>(characters(shown.text), shown.column + 1) - shown.column;
    const std::string carets(std::clamp<std::size_t>(place.length, 1, room), '^');
    out += fmt::format("{} {}|{}\n", margin, c.frame, c.off);
    out += fmt::format("{}{} |{} {}\n", c.frame, number, c.off, shown.text);
    out += fmt::format("{} {}|{} {}{}{}{}{}{}\n", margin, c.frame, c.off, std::string(shown.column, ' '), c.error, carets,
                       diagnostic.label.empty() ? "" : " ", printable(diagnostic.label), c.off);
  }
  if (place.line && !(diagnostic.notes.empty() && diagnostic.help.empty())) out += fmt::format("{} {}|{}\n", margin, c.frame, c.off);
  for (const auto& help : diagnostic.help) out += fmt::format("{} {}={} {}help{}: {}\n", margin, c.frame, c.off, c.bold, c.off, printable(help));
  for (const auto& note : diagnostic.notes) out += fmt::format("{} {}={} {}note{}: {}\n", margin, c.frame, c.off, c.bold, c.off, printable(note));
  return out + "\n";
}

std::string json_list(const std::vector<std::string>& texts) {
  std::string out;
  for (const auto& text : texts) out += (out.empty() ? "" : ", ") + json_string(text);
  return "[" + out + "]";
}

}  // namespace

Diagnostic& Diagnostics::add(Code code, const Place& place, std::string message, std::string label) {
  if (full()) {
    ++dropped_;
    return scrap_ = {};
  }
  all_.reserve(kKeptMax);  // so that what add() returned stays valid
  return all_.emplace_back(Diagnostic{code, place, std::move(message), std::move(label), {}, {}});
}

std::vector<Diagnostic> Diagnostics::sorted() const {
  auto result = all_;
  std::ranges::stable_sort(result, {}, [](const Diagnostic& d) { return std::pair(d.place.line, d.place.column); });
  return result;
}

std::string Diagnostics::render(const Source& source, bool color) const {
  const Colors& c = color ? kColors : kNoColors;
  std::string out;
  const auto all = sorted();
  for (std::size_t i = 0; i < std::min(all.size(), kShownMax); ++i) out += render_one(all[i], source, c);
  if (size() > kShownMax) out += fmt::format("… and {} more\n\n", size() - kShownMax);
  if (!empty())
    out += fmt::format("{}error{}{}: {} has {}{}\n", c.error, c.off, c.bold, source.name,
                       size() == 1 ? "an error" : fmt::format("{} errors", size()), c.off);
  return out;
}

std::string Diagnostics::json(const Source& source) const {
  std::string out;
  for (const Diagnostic& d : sorted()) {
    out += fmt::format(
        "{}\n  {{\"code\": \"E{:03}\", \"file\": {}, \"line\": {}, \"column\": {}, \"length\": {}, \"message\": {}, \"label\": {}, "
        "\"help\": {}, \"notes\": {}}}",
        out.empty() ? "" : ",", static_cast<unsigned>(d.code), json_string(source.name), d.place.line, d.place.column, d.place.length,
        json_string(d.message), json_string(d.label), json_list(d.help), json_list(d.notes));
  }
  return out.empty() ? "[]\n" : "[" + out + "\n]\n";
}

std::string list_of(const std::vector<std::string>& words) {
  std::string out;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i > 0) out += i + 1 == words.size() ? " and " : ", ";
    out += "`" + words[i] + "`";
  }
  return out;
}

std::string closest(std::string_view word, const std::vector<std::string>& known) {
  constexpr std::size_t kKnownMax = 1000;
  if (word.size() > kWordMax) return "";
  const std::string wanted = plain(word);
  std::string best;
  // At most a third of it, and never all of it, is wrong.
  std::size_t best_distance = std::min(std::max<std::size_t>(1, wanted.size() / 3) + 1, wanted.size());
  for (const auto& candidate : std::span(known).first(std::min(known.size(), kKnownMax))) {
    if (candidate.size() > kWordMax) continue;
    const std::string known_word = plain(candidate);
    if (known_word.size() + best_distance <= wanted.size() || wanted.size() + best_distance <= known_word.size()) continue;
    const std::size_t d = distance(wanted, known_word);
    if (d < best_distance) {
      best = candidate;
      best_distance = d;
    }
  }
  return best;
}

std::string json_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += {'\\', c};
    else if (static_cast<unsigned char>(c) < 0x20) out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    else out += c;
  }
  return out + "\"";
}

std::size_t characters(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(text, [](char c) { return !continues(c); }));
}

}  // namespace troupe::topology
