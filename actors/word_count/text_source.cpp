#include "word_count/text_source.h"

#include <fmt/format.h>
#include <troupe/errors.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <set>
#include <utility>

namespace troupe::actors {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kWordSizeMax = std::size_t{16} << 20;

void warn(const fs::path& path, const std::string& why) {
  std::fputs(fmt::format("word_count: {}: {}, left out\n", path.string(), why).c_str(), stderr);
}

// Adds the regular files below `folder`. `above` holds the folders on the way here, so that a link back to one of them ends.
void collect(const fs::path& folder, std::set<fs::path>& above, std::vector<fs::path>& files) {
  std::error_code error;
  const fs::path real = fs::canonical(folder, error);
  if (error) return warn(folder, error.message());
  if (!above.insert(real).second) return warn(folder, "a link to a folder above it");
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    std::error_code ignored;  // a link to nothing is no file
    const fs::file_status status = entry->status(ignored);
    if (fs::is_directory(status)) collect(entry->path(), above, files);
    if (fs::is_regular_file(status)) files.push_back(entry->path());
  }
  if (error) warn(folder, error.message());
  above.erase(real);
}

}  // namespace

TextSource::TextSource(const fs::path& path, std::size_t chunk_size) : chunk_size_(std::max<std::size_t>(chunk_size, 1)) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status)) throw ConfigError(fmt::format("{}: {}; give a file or a folder", path.string(), error.message()));
  std::set<fs::path> above;
  if (fs::is_directory(status)) {
    collect(path, above, files_);
  } else {
    files_.push_back(path);
  }
  std::sort(files_.begin(), files_.end());
}

std::optional<std::string> TextSource::next() {
  std::string chunk = std::exchange(rest_, {});
  std::size_t end = 0;
  for (std::size_t wanted = chunk_size_; end == 0; wanted *= 2) {
    fill(chunk, wanted);
    if (chunk.empty()) return std::nullopt;
    if (chunk.size() < wanted) return chunk;  // all files are read
    const auto gap = std::find_if_not(chunk.rbegin(), chunk.rend(), is_letter);
    end = static_cast<std::size_t>(chunk.rend() - gap);
    if (end == 0 && chunk.size() > kWordSizeMax) {
      throw std::runtime_error(fmt::format("a word of more than {} bytes before the end of {}", kWordSizeMax,
                                           files_[next_file_ - 1].string()));
    }
  }
  rest_ = chunk.substr(end);
  chunk.resize(end);
  return chunk;
}

void TextSource::fill(std::string& chunk, std::size_t wanted) {
  while (chunk.size() < wanted) {
    if (!open_.is_open() && !open_next()) return;
    const std::size_t before = chunk.size();
    chunk.resize(wanted);
    open_.read(chunk.data() + before, static_cast<std::streamsize>(wanted - before));
    const auto got = static_cast<std::size_t>(open_.gcount());
    chunk.resize(before + got);
    bytes_read_ += got;
    if (open_.good()) continue;
    if (open_.bad()) unreadable(files_[next_file_ - 1], std::strerror(errno));
    open_.close();
    open_.clear();
    chunk.push_back('\n');  // the end of a file ends a word
  }
}

bool TextSource::open_next() {
  while (next_file_ < files_.size()) {
    const fs::path& file = files_[next_file_++];
    open_.open(file, std::ios::binary);
    if (open_) return true;
    unreadable(file, std::strerror(errno));
    open_.clear();
  }
  return false;
}

void TextSource::unreadable(const fs::path& file, const std::string& why) {
  warn(file, why);
  ++unreadable_;
}

}  // namespace troupe::actors
