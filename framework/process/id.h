#pragma once

#include <cstdint>

namespace troupe::process {

// The number of a process in its tree, never used twice. Whoever starts a process chooses its number: its own serial, which root
// gave it at birth, then a counter of its own. So a start needs no answer. What root itself starts carries serial 0.
using ProcessId = std::uint64_t;
using Serial = std::uint32_t;

inline constexpr ProcessId kNoProcess = 0;
inline constexpr Serial kRootSerial = 0;
inline constexpr Serial kMainSerial = 1;

constexpr ProcessId make_id(Serial starter, std::uint32_t count) { return ProcessId{starter} << 32 | count; }
constexpr std::uint32_t count_of(ProcessId id) { return static_cast<std::uint32_t>(id); }
constexpr Serial starter_of(ProcessId id) { return static_cast<Serial>(id >> 32); }

// The user's main(), the first that root starts.
inline constexpr ProcessId kMain = make_id(kRootSerial, 1);

}  // namespace troupe::process
