#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace troupe::process {

// The end of what a process printed. However much that is, and however long its lines, this stays small.
//
// Threads: a value.
class LastLines {
 public:
  void add(std::span<const char> text);
  // Oldest first; control characters are shown as `?`.
  [[nodiscard]] std::vector<std::string> lines() const;

  static constexpr std::size_t kBytesMax = 2048;
  static constexpr std::size_t kLinesMax = 20;

 private:
  std::string tail_;
};

}  // namespace troupe::process
