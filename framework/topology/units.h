#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <troupe/duration.h>

namespace troupe::topology {

// "250ms", "1m30s", "1.5h"; units ns, us, ms, s, m, h, d, largest first, each once. Nothing if it is none of that or too long.
std::optional<Duration> parse_duration(std::string_view text);

// "512B", "64KiB", "64MB"; units B, KB, MB, GB (thousands), KiB, MiB, GiB (1024).
std::optional<std::uint64_t> parse_size(std::string_view text);

// What parse_duration() and parse_size() read as the same again: "1m30s", "64KiB".
std::string format_duration(Duration duration);
std::string format_size(std::uint64_t bytes);

}  // namespace troupe::topology
