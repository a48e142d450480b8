// Every file of invalid/ against the messages it must give, byte for byte. TROUPE_UPDATE=1 writes them anew: read the difference.

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "support/catch.h"
#include "topology_test.h"

using namespace troupe;
using namespace troupe::topology;

namespace {

std::string read(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace

TEST_CASE("each invalid file gives exactly its messages") {
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(TROUPE_SOURCE_DIR "/tests/topology/invalid")) {
    if (entry.path().extension() != ".toml") continue;
    ++files;
    const Source source{entry.path().filename(), read(entry.path())};
    Diagnostics diagnostics;
    const auto topology = check(source, test::surroundings(), diagnostics);
    INFO(source.name);
    CHECK_FALSE(topology);
    const std::string messages = diagnostics.render(source, false);
    auto expected = entry.path();
    expected.replace_extension(".expected");
    if (std::getenv("TROUPE_UPDATE")) std::ofstream(expected) << messages;
    CHECK(messages == read(expected));
  }
  CHECK(files > 100);
}
