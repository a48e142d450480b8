#include "word_count/text_source.h"

#include <troupe/errors.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <random>

#include "support/catch.h"

namespace fs = std::filesystem;
using troupe::actors::is_letter;
using troupe::actors::TextSource;

namespace {

// A folder of its own for one test, removed with it.
class Folder {
 public:
  Folder() {
    std::string name = (fs::temp_directory_path() / "troupe-test-XXXXXX").string();
    REQUIRE(mkdtemp(name.data()));
    path_ = name;
  }
  ~Folder() { fs::remove_all(path_); }
  Folder(const Folder&) = delete;
  [[nodiscard]] const fs::path& path() const { return path_; }
  void write(const std::string& name, const std::string& text) const { std::ofstream(path_ / name) << text; }

 private:
  fs::path path_;
};

std::map<std::string, int> words_of(const std::string& text) {
  std::map<std::string, int> words;
  std::string word;
  for (const char byte : text + "\n") {
    if (is_letter(byte)) {
      word += byte;
    } else if (!word.empty()) {
      ++words[std::exchange(word, {})];
    }
  }
  return words;
}

std::string read_all(TextSource& source, std::size_t chunk_size) {
  std::string all;
  while (auto chunk = source.next()) {
    CHECK(chunk->size() <= 3 * chunk_size + 64);
    CHECK_FALSE(chunk->empty());
    // A chunk on its own has the words that it has in the whole.
    all += *chunk + "\n";
  }
  return all;
}

}  // namespace

TEST_CASE("chunks of every size hold the same words") {
  const auto seed = std::random_device()();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  const Folder folder;
  std::string whole;
  for (int file = 0; file < 20; ++file) {
    std::string text;
    for (auto size = random() % 300; size > 0; --size) text += "ab .\n"[random() % 5];
    folder.write("file" + std::to_string(file), text);
    whole += text + "\n";
  }
  for (const std::size_t chunk_size : {1, 2, 3, 7, 64, 1000, 100000}) {
    TextSource source(folder.path(), chunk_size);
    CHECK(words_of(read_all(source, chunk_size)) == words_of(whole));
    CHECK(source.files() == 20);
    CHECK(source.bytes_read() == whole.size() - 20);
  }
}

TEST_CASE("the end of a file ends a word") {
  const Folder folder;
  folder.write("a", "half");
  folder.write("b", "way");
  TextSource source(folder.path(), 1000);
  CHECK(source.next() == "half\nway\n");
  CHECK_FALSE(source.next());
}

TEST_CASE("links are followed, but not for ever") {
  const Folder folder;
  folder.write("a", "word");
  fs::create_directory(folder.path() / "below");
  fs::create_directory_symlink(folder.path(), folder.path() / "below" / "loop");
  fs::create_symlink(folder.path() / "a", folder.path() / "link");
  fs::create_symlink("/nowhere", folder.path() / "dangling");
  TextSource source(folder.path(), 1000);
  CHECK(source.next() == "word\nword\n");
  CHECK(source.unreadable() == 0);
}

TEST_CASE("a path with nothing there is refused with its name") {
  CHECK_THROWS_AS(TextSource("/no/such/thing", 10), troupe::ConfigError);
  CHECK_THROWS_WITH(TextSource("/no/such/thing", 10), Catch::Contains("/no/such/thing"));
}

TEST_CASE("a path may be one file") {
  const Folder folder;
  folder.write("one", "a b");
  TextSource source(folder.path() / "one", 10);
  CHECK(source.next() == "a b\n");
}

TEST_CASE("an empty folder has no chunks") {
  const Folder folder;
  CHECK_FALSE(TextSource(folder.path(), 10).next());
}
