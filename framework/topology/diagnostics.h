#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::topology {

// Where something stands in a file; lines and columns count from 1, columns in characters. Line 0: the file as a whole.
struct Place {
  unsigned line = 0;
  unsigned column = 0;
  unsigned length = 1;
};

// The kinds of errors in a topology file. The numbers are public: people look them up.
enum class Code : unsigned {
  file = 1,         // cannot be read
  text = 2,         // is not UTF-8 text
  syntax = 3,       // is not TOML
  unknown_key = 4,
  type = 5,
  missing = 6,      // a key that must be there
  value = 7,        // not one of those allowed, or out of range
  unit = 8,         // a duration or a size
  variable = 9,     // ${…}
  actor = 10,       // no such actor
  name = 11,        // taken, or unfit
  reference = 12,   // to something that is not there
  library = 13,     // cannot be used
  argument = 14,    // does not fit the actor
  supervision = 15, // a policy that contradicts itself
};

struct Diagnostic {
  Code code;
  Place place;
  std::string message;  // stands alone; lower case, no full stop, what the user wrote in backticks
  std::string label;    // beside the carets
  std::vector<std::string> notes;
  std::vector<std::string> help;
};

// The text that diagnostics speak of.
struct Source {
  std::string name;  // as the user gave it
  std::string text;
};

// All that is wrong with one file.
//
// Threads: confined to one thread at a time.
class Diagnostics {
 public:
  static constexpr std::size_t kShownMax = 20;

  Diagnostic& add(Code code, const Place& place, std::string message, std::string label = "");
  [[nodiscard]] bool empty() const { return all_.empty(); }
  // What is added from now on is only counted.
  [[nodiscard]] bool full() const { return all_.size() >= kKeptMax; }
  [[nodiscard]] std::size_t size() const { return all_.size() + dropped_; }
  // In the order of the file.
  [[nodiscard]] std::vector<Diagnostic> sorted() const;

  // For people, with excerpts, the first kShownMax of them; and one line that says how many there are.
  [[nodiscard]] std::string render(const Source& source, bool color) const;
  // For programs: an array of objects.
  [[nodiscard]] std::string json(const Source& source) const;

 private:
  static constexpr std::size_t kKeptMax = 1000;  // of a file that is wrong from end to end
  std::vector<Diagnostic> all_;
  std::size_t dropped_ = 0;
  Diagnostic scrap_{};
};

// "a", "b" or "a, b and c", each in backticks.
std::string list_of(const std::vector<std::string>& words);

// The one of `known` that was probably meant by `word`, or nothing.
std::string closest(std::string_view word, const std::vector<std::string>& known);

std::string json_string(std::string_view text);

// The number of characters in UTF-8 text.
std::size_t characters(std::string_view text);

}  // namespace troupe::topology
