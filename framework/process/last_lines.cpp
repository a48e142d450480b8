#include "process/last_lines.h"

#include <algorithm>

namespace troupe::process {

void LastLines::add(std::span<const char> text) {
  text = text.last(std::min(text.size(), kBytesMax));
  if (tail_.size() + text.size() > 2 * kBytesMax) tail_.erase(0, tail_.size() + text.size() - kBytesMax);
  tail_.append(text.data(), text.size());
}

std::vector<std::string> LastLines::lines() const {
  std::string text = tail_.substr(tail_.size() - std::min(tail_.size(), kBytesMax));
  if (!text.empty() && text.back() == '\n') text.pop_back();
  std::vector<std::string> lines;
  while (!text.empty() && lines.size() < kLinesMax) {
    const auto begin = text.rfind('\n');
    std::string line = text.substr(begin == std::string::npos ? 0 : begin + 1);
    std::ranges::replace_if(
        line, [](unsigned char c) { return c < ' ' || c == 0x7f; }, '?');
    lines.push_back(std::move(line));
    text.erase(begin == std::string::npos ? 0 : begin);
  }
  std::ranges::reverse(lines);
  return lines;
}

}  // namespace troupe::process
