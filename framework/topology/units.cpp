#include "topology/units.h"

#include <fmt/format.h>

#include <array>
#include <limits>
#include <utility>

namespace troupe::topology {

namespace {

__extension__ using Wide = __int128;

constexpr std::int64_t kSecond = 1'000'000'000;
// In the order in which they may follow one another.
constexpr std::array<std::pair<std::string_view, std::int64_t>, 7> kDurationUnits{{{"d", 86400 * kSecond},
                                                                                  {"h", 3600 * kSecond},
                                                                                  {"m", 60 * kSecond},
                                                                                  {"s", kSecond},
                                                                                  {"ms", 1'000'000},
                                                                                  {"us", 1000},
                                                                                  {"ns", 1}}};
constexpr std::array<std::pair<std::string_view, std::uint64_t>, 7> kSizeUnits{{{"GiB", std::uint64_t{1} << 30},
                                                                               {"MiB", std::uint64_t{1} << 20},
                                                                               {"KiB", std::uint64_t{1} << 10},
                                                                               {"GB", 1'000'000'000},
                                                                               {"MB", 1'000'000},
                                                                               {"KB", 1000},
                                                                               {"B", 1}}};

bool is_digit(char c) { return c >= '0' && c <= '9'; }

struct Number {
  Wide whole = 0;
  Wide fraction = 0;  // of `scale`
  Wide scale = 1;
};

// The number that `text` begins with, taken off it. At most 18 digits on each side of the point.
std::optional<Number> take_number(std::string_view& text) {
  Number number;
  const auto digits = [&](Wide& value, Wide* scale) {
    std::size_t count = 0;
    for (; count < text.size() && is_digit(text[count]); ++count) {
      if (count == 18) return false;
      value = value * 10 + (text[count] - '0');
      if (scale) *scale *= 10;
    }
    text.remove_prefix(count);
    return count > 0;
  };
  if (!digits(number.whole, nullptr)) return std::nullopt;
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    if (!digits(number.fraction, &number.scale)) return std::nullopt;
  }
  return number;
}

}  // namespace

std::optional<Duration> parse_duration(std::string_view text) {
  if (text.empty()) return std::nullopt;
  Wide total = 0;
  for (std::size_t next_unit = 0; !text.empty();) {
    const auto number = take_number(text);
    if (!number) return std::nullopt;
    std::size_t letters = 0;
    while (letters < text.size() && text[letters] >= 'a' && text[letters] <= 'z') ++letters;
    while (next_unit < kDurationUnits.size() && kDurationUnits[next_unit].first != text.substr(0, letters)) ++next_unit;
    if (next_unit == kDurationUnits.size()) return std::nullopt;
    text.remove_prefix(letters);
    const Wide unit = kDurationUnits[next_unit++].second;
    total += number->whole * unit + number->fraction * unit / number->scale;
    if (total >= std::numeric_limits<std::int64_t>::max()) return std::nullopt;  // that one means for ever
  }
  return Duration(static_cast<std::int64_t>(total));
}

std::optional<std::uint64_t> parse_size(std::string_view text) {
  const auto number = take_number(text);
  if (!number || number->scale != 1) return std::nullopt;
  for (const auto& [name, unit] : kSizeUnits) {
    if (name != text) continue;
    const Wide total = number->whole * static_cast<Wide>(unit);
    if (total > std::numeric_limits<std::int64_t>::max()) return std::nullopt;
    return static_cast<std::uint64_t>(total);
  }
  return std::nullopt;
}

std::string format_duration(Duration duration) {
  if (duration == kForever) return "infinity";
  std::int64_t rest = duration.count();
  std::string out;
  for (const auto& [name, unit] : kDurationUnits) {
    if (rest / unit > 0) out += fmt::format("{}{}", rest / unit, name);
    rest %= unit;
  }
  return out.empty() ? "0s" : out;
}

std::string format_size(std::uint64_t bytes) {
  for (const auto& [name, unit] : kSizeUnits)
    if (bytes >= unit && bytes % unit == 0 && name.size() != 2) return fmt::format("{}{}", bytes / unit, name);
  return fmt::format("{}B", bytes);
}

}  // namespace troupe::topology
