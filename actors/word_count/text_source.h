#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

namespace troupe::actors {

// The regular files under a path, links followed, as chunks of text that split no word.
//
//     TextSource source("/usr/share/doc", 64 * 1024);
//     while (auto chunk = source.next()) count(*chunk);
//
// A word is a run of ASCII letters; the end of a file ends a word. A file that cannot be read is reported on standard error,
// counted, and left out. The same files give the same chunks every time.
//
// Threads: confined to one thread at a time.
class TextSource {
 public:
  // Throws ConfigError if there is nothing at `path`.
  TextSource(const std::filesystem::path& path, std::size_t chunk_size);

  // The next chunk of about `chunk_size` bytes, or nothing at the end. Throws std::runtime_error for a word of over 16 MiB.
  [[nodiscard]] std::optional<std::string> next();

  [[nodiscard]] std::size_t files() const { return files_.size() - unreadable_; }
  [[nodiscard]] std::size_t files_read() const { return next_file_; }
  [[nodiscard]] std::uint64_t bytes_read() const { return bytes_read_; }
  [[nodiscard]] std::uint64_t unreadable() const { return unreadable_; }

 private:
  // Reads on until `chunk` has the wanted size or all files are read.
  void fill(std::string& chunk, std::size_t wanted);
  bool open_next();
  void unreadable(const std::filesystem::path& file, const std::string& why);

  std::vector<std::filesystem::path> files_;
  std::size_t chunk_size_;
  std::size_t next_file_ = 0;
  std::ifstream open_;
  std::string rest_;  // the beginning of a word that the last chunk could not hold whole
  std::uint64_t bytes_read_ = 0;
  std::uint64_t unreadable_ = 0;
};

// Whether `byte` belongs to a word; never asks the locale.
constexpr bool is_letter(char byte) { return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z'); }

}  // namespace troupe::actors
