#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "topology/diagnostics.h"

namespace troupe::topology {

struct Entry;

// A value of a TOML file, with its place. Tables keep the order of the file.
struct Node {
  enum class Kind : std::uint8_t { table, array, text, integer, real, boolean, time };

  Kind kind = Kind::table;
  Place place;
  std::string text;           // of text
  std::int64_t integer = 0;   // of integer
  double real = 0;            // of real
  bool boolean = false;       // of boolean
  std::vector<Node> items;    // of array
  std::vector<Entry> entries;  // of table

  [[nodiscard]] const Entry* find(std::string_view key) const;
};

struct Entry {
  std::string key;
  Place place;  // of the key
  Node value;
};

// "text", "an integer", …
const char* name_of(Node::Kind kind);

// A file of at most 1 MiB, or nothing and why not. Reads regular files only: never waits for a FIFO, never drinks from /dev/zero.
std::optional<std::string> read_file(const std::string& path, Diagnostics& diagnostics);

// The top table of `source`, or nothing and why not. Stands between us and what toml++ 3.3 does with hostile text (stack
// overflows, failed assertions, undefined behaviour): see check_text().
std::optional<Node> parse_toml(const Source& source, Diagnostics& diagnostics);

// Whether `text` is what the parser may see: UTF-8 without control characters, keys neither too deep nor in bare non-ASCII.
bool check_text(std::string_view text, Diagnostics& diagnostics);

}  // namespace troupe::topology
