#include <capnp/serialize.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "support/catch.h"
#include "topology/arguments.h"
#include "topology/units.h"
#include "topology_test.h"

using namespace troupe;
using namespace troupe::topology;
using namespace std::chrono_literals;

namespace {

Topology must_check(const std::string& text) {
  const Source source{"dir/shop.toml", text};
  Diagnostics diagnostics;
  auto topology = check(source, test::surroundings(), diagnostics);
  INFO(diagnostics.render(source, false));
  REQUIRE(topology);
  return std::move(*topology);
}

const ActorWork& work(const supervisor::ChildSpec& child) { return dynamic_cast<const ActorWork&>(*child.work); }

template <class Use>
void with_arguments(const std::vector<std::byte>& bytes, Use use) {
  std::vector<capnp::word> words(bytes.size() / sizeof(capnp::word));
  std::memcpy(words.data(), bytes.data(), bytes.size());
  capnp::FlatArrayMessageReader reader(kj::arrayPtr(words.data(), words.size()));
  use(reader.getRoot<test::EverythingArguments>());
}

// A folder of its own, gone with it.
struct Folder {
  Folder() {
    char name[] = "/tmp/troupe-test-XXXXXX";
    path = mkdtemp(name);
  }
  ~Folder() { std::filesystem::remove_all(path); }
  std::filesystem::path path;
};

std::string why_unreadable(const std::string& path) {
  Diagnostics diagnostics;
  CHECK_FALSE(read_file(path, diagnostics));
  REQUIRE(diagnostics.size() == 1);
  return diagnostics.sorted()[0].message;
}

}  // namespace

TEST_CASE("a topology is its processes, in the order of the file") {
  const auto topology = must_check(R"(
    [topology]
    name = "shop"
    [supervisor]
    strategy = "rest_for_one"
    max_restarts = 7
    max_seconds = "1m"
    auto_shutdown = "any_significant"
    backoff = { min = "50ms", max = "2s", factor = 1.5, jitter = 0, reset = "1m" }
    [[process]]
    name = "first"
    actor = "plain"
    restart = "transient"
    significant = true
    stop_timeout = "infinity"
    start_timeout = "250ms"
    keep_stderr = true
    env = { LANG = "C", WHO = "${SET}" }
    [[process]]
    name = "second"
    actor = "everything"
    args = { path = "x" }
    count = 2
  )");
  CHECK(topology.name == "shop");
  CHECK(topology.processes == 3);
  const auto& spec = topology.supervisor;
  CHECK(spec.strategy == supervisor::Strategy::rest_for_one);
  CHECK(spec.max_restarts == 7);
  CHECK(spec.max_seconds == 1min);
  CHECK(spec.auto_shutdown == supervisor::AutoShutdown::any_significant);
  CHECK(spec.backoff.min == 50ms);
  CHECK(spec.backoff.factor == 1.5);
  CHECK(spec.backoff.reset == 1min);
  REQUIRE(spec.children.size() == 3);
  const auto& first = spec.children[0];
  CHECK(first.id == "first");
  CHECK(first.restart == supervisor::Restart::transient);
  CHECK(first.significant);
  CHECK(first.stop_timeout == kForever);
  CHECK(first.start_timeout == 250ms);
  CHECK(work(first).actor == "plain");
  CHECK(work(first).keep_stderr);
  CHECK_FALSE(work(spec.children[1]).keep_stderr);
  CHECK(work(first).environment == std::vector<std::pair<std::string, std::string>>{{"LANG", "C"}, {"WHO", "set"}});
  CHECK(spec.children[1].id == "second.0");
  CHECK(spec.children[2].id == "second.1");
  CHECK(spec.children[2].restart == supervisor::Restart::permanent);
  CHECK(work(spec.children[2]).name == "second.1");
}

TEST_CASE("supervisors nest by name, each where it stands among the others") {
  const auto topology = must_check(R"(
    [[supervisor]]
    strategy = "one_for_all"
    [[process]]
    name = "a"
    actor = "plain"
    [[supervisor]]
    name = "outer"
    [[process]]
    name = "b"
    actor = "plain"
    under = "inner"
    [[supervisor]]
    name = "inner"
    under = "outer"
    restart = "temporary"
    stop_timeout = "3s"
    [[process]]
    name = "c"
    actor = "plain"
  )");
  const auto& top = topology.supervisor;
  CHECK(top.strategy == supervisor::Strategy::one_for_all);
  REQUIRE(top.children.size() == 3);
  CHECK(top.children[0].id == "a");
  CHECK(top.children[1].id == "outer");
  CHECK(top.children[2].id == "c");
  CHECK(top.children[1].restart == supervisor::Restart::transient);
  CHECK(top.children[1].stop_timeout == kForever);
  REQUIRE(top.children[1].supervisor);
  const auto& inner = top.children[1].supervisor->children.at(0);
  CHECK(inner.restart == supervisor::Restart::temporary);
  CHECK(inner.stop_timeout == 3s);
  CHECK(inner.supervisor->children.at(0).id == "b");
}

TEST_CASE("without a word about it a topology has the name of its file and the usual policy") {
  const auto topology = must_check("[[process]]\nname = \"a\"\nactor = \"plain\"\n");
  CHECK(topology.name == "shop");
  CHECK(topology.supervisor.max_restarts == 3);
  CHECK(topology.supervisor.max_seconds == 5s);
  CHECK(topology.supervisor.end_when_done);
  CHECK(topology.supervisor.first_start == supervisor::FirstStart::retry);
  CHECK(topology.supervisor.children[0].stop_timeout == 5s);
}

TEST_CASE("links are looked up by the names of processes, with or without their number") {
  const auto topology = must_check(R"(
    [[process]]
    name = "a"
    actor = "plain"
    count = 3
    [[process]]
    name = "b"
    actor = "plain"
    [[link]]
    between = ["b", "a"]
    transport = "pipe"
    [[link]]
    between = ["a.1", "b"]
    ring_size = "64KiB"
    [[link]]
    between = ["a", "a"]
    transport = "pipe"
  )");
  CHECK(topology.link_between("a.0", "b").kind == transport::Kind::pipe);
  CHECK(topology.link_between("b", "a.2").kind == transport::Kind::pipe);
  CHECK(topology.link_between("b", "a.1").kind == transport::Kind::ring);
  CHECK(topology.link_between("b", "a.1").ring_bytes == 64 * 1024);
  CHECK(topology.link_between("a.0", "a.2").kind == transport::Kind::pipe);
  CHECK(topology.link_between("b", "ab").kind == transport::Kind::ring);
}

TEST_CASE("actors of a library are used by a process, or by all") {
  const auto topology = must_check(R"(
    [[library]]
    path = "libgood.so"
    [[process]]
    name = "a"
    actor = "mine"
    [[process]]
    name = "b"
    actor = "mine"
    library = "sub/libgood.so"
  )");
  const auto here = std::filesystem::current_path();
  CHECK(work(topology.supervisor.children[0]).library == (here / "dir/libgood.so").string());
  CHECK(work(topology.supervisor.children[1]).library == (here / "dir/sub/libgood.so").string());
}

TEST_CASE("arguments become a message of the actor's schema") {
  const auto topology = must_check(R"(
    [[process]]
    name = "a"
    actor = "everything"
    [process.args]
    path = "$${SET}=${SET}"
    count = 255
    offset = -5
    large = 9223372036854775807
    ratio = 2
    small = 1.5
    quiet = true
    mode = "very_loud"
    patience = "1m30s"
    cache_size = "64MB"
    raw = "bytes"
    words = ["one", "two"]
    matrix = [[1, 2], []]
    point = { x = 1, y = 2 }
    points = [{ y = 3 }]
    place.city = "Graz"
    port = 80
    modes = ["very_loud", "plain"]
  )");
  with_arguments(work(topology.supervisor.children[0]).arguments, [](test::EverythingArguments::Reader args) {
    CHECK(args.getPath() == "${SET}=set");
    CHECK(args.getCount() == 255);
    CHECK(args.getOffset() == -5);
    CHECK(args.getLarge() == 9223372036854775807u);
    CHECK(args.getRatio() == 2);
    CHECK(args.getSmall() == 1.5f);
    CHECK(args.getQuiet());
    CHECK(args.getMode() == test::Mode::VERY_LOUD);
    CHECK(Duration(args.getPatience()) == 90s);
    CHECK(args.getCacheSize() == 64000000);
    CHECK(args.getRaw().size() == 5);
    CHECK(args.getWords()[1] == "two");
    CHECK(args.getMatrix()[0][1] == 2);
    CHECK(args.getMatrix()[1].size() == 0);
    CHECK(args.getPoint().getY() == 2);
    CHECK(args.getPoints()[0].getY() == 3);
    CHECK(args.getPlace().getCity() == "Graz");
    CHECK(args.isPort());
    CHECK(args.getPort() == 80);
    CHECK(args.getModes()[0] == test::Mode::VERY_LOUD);
  });
}

TEST_CASE("arguments may name actors of the topology") {
  const auto topology = must_check(R"(
    [[process]]
    name = "a"
    actor = "everything"
    args = { path = "x", sink = "b.1", sinks = ["a", "b.0"] }
    [[process]]
    name = "b"
    actor = "plain"
    count = 2
    [[process]]
    name = "c"
    actor = "everything"
    args = { path = "x", sink = "" }
  )");
  with_arguments(work(topology.supervisor.children[0]).arguments, [](test::EverythingArguments::Reader args) {
    CHECK(args.getSink() == "b.1");
    CHECK(args.getSinks()[1] == "b.0");
  });
}

TEST_CASE("a bare number is so many seconds where the key says seconds") {
  const auto topology = must_check("[supervisor]\nmax_seconds = 7\n[[process]]\nname = \"a\"\nactor = \"plain\"\n");
  CHECK(topology.supervisor.max_seconds == 7s);
}

TEST_CASE("arguments that are not given have their defaults") {
  const auto topology = must_check("[[process]]\nname = \"a\"\nactor = \"everything\"\nargs = { path = \"${NOT_SET:-x}\", none = true }\n");
  with_arguments(work(topology.supervisor.children[0]).arguments, [](test::EverythingArguments::Reader args) {
    CHECK(args.getPath() == "x");
    CHECK(args.getCount() == 3);
    CHECK(Duration(args.getPatience()) == 5s);
    CHECK(args.isNone());
  });
}

TEST_CASE("arguments can be described") {
  std::vector<std::string> lines;
  for (const auto& argument : describe_arguments(capnp::Schema::from<test::EverythingArguments>()))
    lines.push_back(argument.describe());
  CHECK(lines.at(0) == "path: text, required");
  CHECK(lines.at(1) == "count: integer, default 3");
  CHECK(lines.at(7) == "mode: one of `plain` and `very_loud`, default \"plain\"");
  CHECK(lines.at(8) == "patience: duration, default 5s");
  CHECK(lines.at(9) == "cache_size: size, default 64KiB");
  CHECK(std::ranges::find(lines, "sink: actor") != lines.end());
  CHECK(std::ranges::find(lines, "sinks: list of actors") != lines.end());
}

TEST_CASE("the reference of the file names every key and every code") {
  std::ifstream in(TROUPE_SOURCE_DIR "/docs/topology.md");
  const std::string reference{std::istreambuf_iterator<char>(in), {}};
  // What is known where, as the check itself says it of a key that is not.
  Diagnostics diagnostics;
  const Source source{
      "x",
      "zzzzzzz = 1\n[topology]\nzzzzzzz = 1\n[supervisor]\nzzzzzzz = 1\nbackoff = { zzzzzzz = 1 }\n[[library]]\nzzzzzzz = 1\n"
      "[[process]]\nzzzzzzz = 1\n[[link]]\nzzzzzzz = 1\n"};
  CHECK_FALSE(check(source, test::surroundings(), diagnostics));
  std::size_t keys = 0;
  for (const Diagnostic& diagnostic : diagnostics.sorted()) {
    if (diagnostic.code != Code::unknown_key) continue;
    const std::string& known = diagnostic.notes.at(0);
    for (auto at = known.find('`'); at != std::string::npos; at = known.find('`', at + 1), ++keys) {
      const auto end = known.find('`', at + 1);
      const std::string key = known.substr(at + 1, end - at - 1);
      INFO(key);
      CHECK((reference.find("| `" + key + "` |") != std::string::npos || reference.find("[" + key + "]") != std::string::npos));
      at = end;
    }
  }
  CHECK(keys > 30);
  for (unsigned code = 1; code <= static_cast<unsigned>(Code::supervision); ++code)
    CHECK(reference.find("| E0" + std::string(code < 10 ? "0" : "") + std::to_string(code) + " |") != std::string::npos);
}

TEST_CASE("only files are read") {
  const Folder folder;
  CHECK(why_unreadable(folder.path / "none") == "cannot read `" + (folder.path / "none").string() + "`: No such file or directory");
  CHECK(why_unreadable(folder.path).ends_with("it is a directory, not a file"));
  CHECK(why_unreadable("/dev/zero").ends_with("it is a device, not a file"));
  REQUIRE(mkfifo((folder.path / "fifo").c_str(), 0600) == 0);
  CHECK(why_unreadable(folder.path / "fifo").ends_with("it is a FIFO, not a file"));
  std::ofstream(folder.path / "large") << std::string((1 << 20) + 1, '#');
  CHECK(why_unreadable(folder.path / "large").ends_with("is too large: a topology has 1 MiB at most"));
  std::ofstream(folder.path / "just right") << std::string(1 << 20, '#');
  Diagnostics diagnostics;
  CHECK(read_file(folder.path / "just right", diagnostics)->size() == 1 << 20);
}

TEST_CASE("traps of the parser are errors at their place") {
  const auto first = [](const std::string& text) {
    Diagnostics diagnostics;
    CHECK_FALSE(parse_toml({"x", text}, diagnostics));
    REQUIRE(diagnostics.size() == 1);
    return diagnostics.sorted()[0];
  };
  std::string dots = "a";
  for (int i = 0; i < 40000; ++i) dots += ".a";
  CHECK(first(dots + " = 1").place.column == 130);
  CHECK(first("x = " + std::string(1000000, '[')).place.column == 69);
  CHECK(first("x = " + std::string(1000000, '{')).place.column == 69);
  CHECK(first("\n\n[\n").place.line == 3);
  CHECK(first("a = 1\n\xc3\xa4 = 1").place.line == 2);
  CHECK(first("a = \"\xed\xa0\x80\"").code == Code::text);          // a surrogate
  CHECK(first("a = \"\xf4\x90\x80\x80\"").code == Code::text);      // beyond Unicode
  CHECK(first("a = \"\xc0\xaf\"").code == Code::text);              // too long a form
  CHECK(first("a = \"\xe0\x9f\x80\"").code == Code::text);
  CHECK(first("a = \"\xf0\x8f\x80\x80\"").code == Code::text);
  CHECK(first("a = \"\xe4\xb8").code == Code::text);                // cut off
}

TEST_CASE("what looks like a trap but stands in quotes or a comment is fine") {
  std::string dots(2000, '.');
  std::string brackets(2000, '[');
  for (const std::string& text : std::vector<std::string>{"a = \"" + dots + brackets + "\"", "a = '" + dots + brackets + "'", "# ä" + dots + brackets, "a = \"ä\\\"ä\"",
                                 "a = '''\nä''" + dots + "'''''\nb = 1", "a = \"\"\"ä\\\"\"\"" + dots + "\\\"\"\"\"\"\nb = 1", "\"ä\" = 1"}) {
    Diagnostics diagnostics;
    const Source source{"x", text};
    const auto node = parse_toml(source, diagnostics);
    INFO(diagnostics.render(source, false));
    CHECK(node);
  }
}

TEST_CASE("durations and sizes are read as they are written") {
  for (const Duration duration : {0ns, Duration(1ns), Duration(1500us), Duration(90s), Duration(25h), Duration(INT64_MAX - 1)})
    CHECK(parse_duration(format_duration(duration)) == duration);
  for (const std::uint64_t size : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{65536}, std::uint64_t{1000}, std::uint64_t{3} << 30})
    CHECK(parse_size(format_size(size)) == size);
  CHECK(parse_duration("1.5h") == 90min);
  CHECK(parse_duration("1d2h3m4s5ms6us7ns") == 26h + 3min + 4s + 5ms + 6us + 7ns);
  CHECK(format_duration(90s) == "1m30s");
  CHECK(format_size(65536) == "64KiB");
  CHECK(parse_size("2MB") == 2000000);
  for (const char* wrong : {"", "5", "s", "5 s", "-5s", "+5s", "5s5s", "1s1m", ".5s", "5.s", "5S", "1e3s", "5sx", "9999999999999999999s", "9223372036854775807ns"})
    CHECK_FALSE(parse_duration(wrong));
  for (const char* wrong : {"", "5", "KiB", "5 KiB", "-5B", "1.5KiB", "5kib", "5KiBs", "99999999999GiB"}) CHECK_FALSE(parse_size(wrong));
}

TEST_CASE("the word that was meant") {
  const std::vector<std::string> known{"strategy", "max_restarts", "name"};
  CHECK(closest("stratgy", known) == "strategy");
  CHECK(closest("maxRestarts", known) == "max_restarts");
  CHECK(closest("nmae", known) == "name");
  CHECK(closest("colour", known).empty());
  CHECK(closest(std::string(1000000, 'x'), known).empty());
}

TEST_CASE("errors come as JSON, too") {
  const Source source{"a\"b.toml", "[[process]]\nname = \"a\"\nactor = \"plian\"\n"};
  Diagnostics diagnostics;
  CHECK_FALSE(check(source, test::surroundings(), diagnostics));
  CHECK(diagnostics.json(source) ==
        "[\n  {\"code\": \"E010\", \"file\": \"a\\\"b.toml\", \"line\": 3, \"column\": 9, \"length\": 7, \"message\": \"unknown actor "
        "`plian`\", \"label\": \"no such actor\", \"help\": [\"did you mean `plain`?\"], \"notes\": [\"known actors: `everything` and "
        "`plain`\"]}\n]\n");
  CHECK(Diagnostics().json(source) == "[]\n");
}

TEST_CASE("colour changes nothing but the colours") {
  const Source source{"x", "[[process]]\nname = \"a\"\n"};
  Diagnostics diagnostics;
  CHECK_FALSE(check(source, test::surroundings(), diagnostics));
  std::string colored = diagnostics.render(source, true);
  CHECK(colored.find("\x1b[1;31merror[E006]\x1b[0m") != std::string::npos);
  for (auto at = colored.find('\x1b'); at != std::string::npos; at = colored.find('\x1b')) colored.erase(at, colored.find('m', at) - at + 1);
  CHECK(colored == diagnostics.render(source, false));
}

TEST_CASE("a library without a path is a mistake like any other") {
  Diagnostics diagnostics;
  CHECK_FALSE(check({"x", "[[library]]\npath = \"\"\n"}, test::surroundings(), diagnostics));
  CHECK_FALSE(diagnostics.sorted().empty());
}
