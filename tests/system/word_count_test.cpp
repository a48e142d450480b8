// The main job, on what every Debian has and on headers, left alone and with its counters killed.

#include <signal.h>

#include <chrono>
#include <map>
#include <random>
#include <regex>
#include <string>
#include <thread>

#include "support/catch.h"
#include "support/command.h"

using troupe::test::Command;
using troupe::test::shell;

namespace {

const std::string kTopology = TROUPE_SOURCE_DIR "/config/word_count.toml";

// What the standard tools make of it, in the form that the tally prints.
const std::string& reference(const std::string& input) {
  static std::map<std::string, std::string> known;
  auto [entry, is_new] = known.try_emplace(input);
  if (is_new) {
    entry->second = shell("find -L '" + input + "' -type f -print0 | xargs -0 sed '' | LC_ALL=C tr -cs '[:alpha:]' '\\n' | grep . |"
                          " LC_ALL=C sort | uniq -c | LC_ALL=C sort -k1,1nr -k2,2 | head | awk '{print $1 \"\\t\" $2}'");
  }
  return entry->second;
}

// Kills `times` counters of a run at random moments of the first `span`. How many it got before the run was over.
int kill_counters(Command& run, int times, std::chrono::microseconds span, std::mt19937& random) {
  int killed = 0;
  while (killed < times && run.running()) {
    // A random moment is the point here; nothing depends on how long this really takes.
    std::this_thread::sleep_for(span / times * static_cast<int>(random() % 1000) / 1000);
    const auto counters = run.processes("counter.");
    if (counters.empty()) continue;
    if (kill(counters[random() % counters.size()], SIGKILL) == 0) ++killed;
  }
  return killed;
}

}  // namespace

TEST_CASE("the words of a folder are counted as the standard tools count them") {
  const std::string input = GENERATE(as<std::string>(), "/usr/share/common-licenses", "/usr/include");
  const auto result = Command({TROUPE_COMMAND, "run", kTopology}, {"INPUT=" + input}).wait();
  INFO(result.err);
  CHECK(result.exit_code == 0);
  CHECK(result.out == reference(input));
  CHECK(std::regex_search(result.err, std::regex("[0-9]+ words, [0-9]+ different, in [0-9]+ files")));
}

// 50 runs in a row, with five kills in each.
TEST_CASE("the counts are exact while counters are killed") {
  const std::string input = GENERATE(as<std::string>(), "/usr/share/common-licenses", "/usr/include");
  const auto seed = std::random_device()();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  REQUIRE_FALSE(reference(input).empty());  // known before the clock runs
  using Clock = std::chrono::steady_clock;
  const auto begin = Clock::now();
  REQUIRE(Command({TROUPE_COMMAND, "run", kTopology}, {"INPUT=" + input}).wait().out == reference(input));
  auto span = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - begin) / 2;
  for (int runs = 0; runs < 50;) {
    INFO("run " << runs);
    Command command({TROUPE_COMMAND, "run", kTopology}, {"INPUT=" + input});
    const int killed = kill_counters(command, 5, span, random);
    const auto result = command.wait();
    INFO(killed << " killed; " << result.err);
    REQUIRE(result.exit_code == 0);
    REQUIRE(result.out == reference(input));
    if (killed == 5) {
      ++runs;
    } else {
      span = span * 3 / 4;  // it was over sooner than the first one
      REQUIRE(span > std::chrono::milliseconds(1));
    }
  }
}
