#pragma once

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace troupe::test {

// A folder of its own for topology files, gone with it.
class Scratch {
 public:
  Scratch() {
    char name[] = "/tmp/troupe-test-XXXXXX";
    path_ = mkdtemp(name);
  }
  ~Scratch() { std::filesystem::remove_all(path_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  // A file with that text: its path.
  [[nodiscard]] std::string file(const std::string& text, const std::string& name = "topology.toml") const {
    std::ofstream(path_ / name, std::ios::binary) << text;
    return path_ / name;
  }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

inline std::string library(const std::string& name) { return TROUPE_TEST_LIBRARIES "/lib" + name + ".so"; }

// A process of a topology whose actor is one of tests/cli/actors.
inline std::string process(const std::string& name, const std::string& actor, const std::string& more = "") {
  return "[[process]]\nname = \"" + name + "\"\nactor = \"" + actor + "\"\nlibrary = \"" + library("test_misbehaving") + "\"\nenv = { NAME = \"" +
         name + "\" }\n" + more + "\n";
}

}  // namespace troupe::test
