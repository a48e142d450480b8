// Random scenarios, step by step, with OTP's supervisor and with ours: both must do the same. Each step settles before the next, so that
// what is different on purpose (decisions/0010) does not come into play. Needs Erlang (erlang-base); without it nothing is compared.

#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <random>
#include <sstream>

#include "script.h"
#include "support/catch.h"
#include "support/command.h"

using namespace troupe;
using namespace troupe::supervisor;

namespace {

// Ours, in a world that does as it is told at once.
class Ours {
 public:
  std::string run(const std::string& line) {
    const auto words = testing::split(line, ' ');
    did_.clear();
    answer_.clear();
    if (words[0] == "supervisor") {
      std::string children;
      for (std::size_t i = 4; i < words.size(); ++i) children += words[i] + " ";
      auto spec = testing::supervisor_spec(words[1] + " " + words[2] + "/100000s", children);
      spec.auto_shutdown = words[3] == "never" ? AutoShutdown::never : words[3] == "any_significant" ? AutoShutdown::any_significant : AutoShutdown::all_significant;
      supervisor_.emplace(spec, 1);
      lives_.clear();
      send(event::Begin{});
    } else if (supervisor_) {
      step(words[0], words.size() > 1 ? words[1] : "");
    }
    std::string result = answer_ + did_;
    if (supervisor_ && supervisor_->ended()) {
      result += "ended ";
      supervisor_.reset();
    }
    if (supervisor_)
      for (const Child& child : supervisor_->children()) result += child.spec.id + (child.alive() ? "+" : "-");
    return result;
  }

 private:
  void step(const std::string& verb, const std::string& word) {
    if (verb == "stop") send(event::Stop{});
    if (verb == "start") send(event::StartChild{1, testing::child_spec(word)});
    if (verb == "terminate") send(event::TerminateChild{1, word});
    if (verb == "restart") send(event::RestartChild{1, word});
    if (verb == "delete") send(event::DeleteChild{1, word});
    if (verb != "crash" && verb != "exit") return;
    for (const Child& child : supervisor_->children())
      if (child.spec.id == word && child.alive())
        return send(event::Ended{child.life(), verb == "crash" ? Death{Death::Cause::signalled, 9, ""} : Death{}});
  }

  void send(const Event& event) {
    for (const Command& command : supervisor_->handle(event, {})) {
      if (const auto* start = std::get_if<command::Start>(&command)) {
        did_ += "start " + start->spec.id + " ";
        lives_[start->life] = start->spec.id;
        send(event::Ready{start->life});
      } else if (const auto* stop = std::get_if<command::Stop>(&command)) {
        did_ += "stop " + lives_.at(stop->life) + " ";
        send(event::Ended{stop->life, {Death::Cause::stopped, 0, ""}});
      } else if (const auto* answer = std::get_if<command::Answer>(&command)) {
        answer_ = std::string(testing::word(answer->result)) + " ";
      }
    }
  }

  std::optional<Supervisor> supervisor_;
  std::map<Life, std::string> lives_;
  std::string did_, answer_;
};

std::vector<std::string> random_scenario(std::uint64_t seed) {
  std::mt19937_64 random(seed);
  const auto pick = [&](unsigned n) { return static_cast<unsigned>(random() % n); };
  const unsigned auto_shutdown = pick(3);
  const auto child = [&](const std::string& id) {
    const unsigned type = pick(3);
    std::string text = id + (type == 0 ? "" : type == 1 ? ":transient" : ":temporary");
    if (pick(3) == 0 && (type > 0 || pick(8) == 0) && (auto_shutdown > 0 || pick(8) == 0)) text += ":sig";
    return text;
  };
  const char* strategies[] = {"one_for_one", "one_for_all", "rest_for_one"};
  const char* shutdowns[] = {"never", "any_significant", "all_significant"};
  std::string first = std::string("supervisor ") + strategies[pick(3)] + " " + std::to_string(pick(12)) + " " + shutdowns[auto_shutdown];
  const std::string ids = "abcdef";
  for (unsigned i = 0, n = 1 + pick(5); i < n; ++i) {
    std::string one = child(ids.substr(i, 1));
    if (one.find(":sig") != std::string::npos && (auto_shutdown == 0 || one.find(":t") == std::string::npos)) one = ids.substr(i, 1);
    first += " " + one;
  }
  std::vector<std::string> lines{first};
  for (unsigned i = 0, n = 5 + pick(15); i < n; ++i) {
    const std::string id = ids.substr(pick(6), 1);
    const char* verbs[] = {"crash ", "crash ", "exit ", "exit ", "terminate ", "restart ", "delete "};
    const unsigned verb = pick(8);
    lines.push_back(verb == 7 ? "start " + child(id) : verbs[verb] + id);
  }
  lines.push_back("stop");
  return lines;
}

}  // namespace

TEST_CASE("random scenarios go as with OTP's supervisor") {
  if (access("/usr/bin/escript", X_OK) != 0) {
    WARN("Erlang is not installed: nothing compared");
    return;
  }
  const char* wanted = std::getenv("TROUPE_SEEDS");
  const std::uint64_t seeds = wanted ? std::stoull(wanted) : 20;
  std::vector<std::string> lines;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed)
    for (auto& line : random_scenario(seed)) lines.push_back(std::move(line));
  char file[] = "/tmp/troupe-otp-XXXXXX";
  close(mkstemp(file));
  {
    std::ofstream out(file);
    for (const auto& line : lines) out << line << '\n';
  }
  const auto theirs = test::Command({"/usr/bin/escript", TROUPE_SOURCE_DIR "/tests/supervisor/otp.escript", file}).wait();
  unlink(file);
  INFO(theirs.err);
  REQUIRE(theirs.exit_code == 0);
  std::istringstream answers(theirs.out);
  Ours ours;
  std::string scenario;
  for (const auto& line : lines) {
    if (line.starts_with("supervisor")) scenario.clear();
    std::string wanted_line;
    REQUIRE(std::getline(answers, wanted_line));
    const std::string seen = ours.run(line);
    scenario += line + " -> " + seen + "\n";
    INFO(scenario);
    REQUIRE(seen == wanted_line);
  }
}
