// The command end to end: words, files, exit codes, messages.

#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <vector>

#include "scratch.h"
#include "support/catch.h"
#include "support/command.h"

using namespace troupe::test;

namespace {

using Result = Command::Result;

Result call(std::vector<std::string> words, const std::vector<std::string>& environment = {}) {
  words.insert(words.begin(), TROUPE_COMMAND);
  return Command(words, environment).wait();
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t n = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

}  // namespace

TEST_CASE("help and version go to standard output") {
  const auto help = call({"--help"});
  CHECK(help.exit_code == 0);
  for (const char* word : {"run", "check", "actors", "--color", "Exit codes"}) CHECK(has(help.out, word));
  CHECK(help.err.empty());
  CHECK(has(call({"run", "--help"}).out, "FILE"));
  CHECK(has(call({"check", "--help"}).out, "--json"));
  CHECK(call({"--version"}).out.starts_with("troupe "));
}

TEST_CASE("wrong words are explained, and the exit code is 2") {
  const auto says = [](std::vector<std::string> words, const std::string& what) {
    const auto result = call(words);
    INFO(result.err);
    CHECK(result.exit_code == 2);
    CHECK(result.out.empty());
    CHECK(has(result.err, what));
    CHECK(has(result.err, "--help"));
  };
  says({}, "which command?");
  says({"rnu", "x.toml"}, "there is no command `rnu`; did you mean `run`?");
  says({"frobnicate"}, "there is no command `frobnicate`\n");
  says({"check", "--jsno", "x.toml"}, "there is no option `--jsno`; did you mean `--json`?");
  says({"--colour=never", "check", "x.toml"}, "there is no option `--colour`; did you mean `--color`?");
  says({"run"}, "file is required");
  says({"run", "a.toml", "b.toml"}, "`b.toml` is one argument too many");
  says({"check", "--color", "blue", "x.toml"}, "blue");
}

TEST_CASE("five mistakes in one file are reported each at its place") {
  const std::string file = TROUPE_SOURCE_DIR "/tests/topology/invalid/five_mistakes.toml";
  const auto result = call({"check", file});
  CHECK(result.exit_code == 2);
  CHECK(result.out.empty());
  for (const char* place : {":2:12\n", ":3:15\n", ":7:9\n", ":12:18\n", ":15:22\n"}) CHECK(has(result.err, file + place));
  CHECK(count(result.err, "error[E") == 5 + 1);  // the tests' actor is not among the ready-made ones
  const auto json = call({"check", "--json", file});
  CHECK(json.exit_code == 2);
  CHECK(json.err.empty());
  CHECK(count(json.out, "\"code\"") == 6);
  CHECK(has(json.out, "\"line\": 12, \"column\": 18"));
}

TEST_CASE("files that are none are refused at once") {
  const Scratch scratch;
  REQUIRE(mkfifo((scratch.path() / "fifo").c_str(), 0600) == 0);
  const std::vector<std::pair<std::string, std::string>> files{{scratch.path() / "fifo", "a FIFO"},
                                                               {scratch.path(), "a directory"},
                                                               {"/dev/zero", "a device"},
                                                               {scratch.path() / "none", "No such file"},
                                                               {scratch.file(std::string(2 << 20, '#'), "large"), "too large"}};
  for (const auto& [path, what] : files)
    for (const char* verb : {"check", "run"}) {
      const auto result = call({verb, path});
      CHECK(result.exit_code == 2);
      CHECK(has(result.err, what));
    }
}

TEST_CASE("traps of the parser do not crash the command") {
  const Scratch scratch;
  std::string dots = "a";
  for (int i = 0; i < 40000; ++i) dots += ".a";
  for (const std::string& text : std::vector<std::string>{"[\n", dots + "=1", "a=" + std::string(500000, '['), "\xe4=1", "\xc3\xa4=1", std::string("a=\0", 3),
                                                          "a=\"\x1b[2J\"", "[[[[", "=", "\"\"\"", "a = \"\\u001b[2J\"", "[a]\n[a]", "a.b=1\na=2"}) {
    const auto result = call({"check", scratch.file(text)});
    CHECK(result.exit_code == 2);
    CHECK_FALSE(has(result.err, "\x1b"));
  }
}

TEST_CASE("a good file is said to be good") {
  const auto result = call({"check", TROUPE_SOURCE_DIR "/config/word_count.toml"});
  CHECK(result.exit_code == 0);
  CHECK(has(result.out, "word_count.toml: ok, 6 processes\n"));
  CHECK(result.err.empty());
  CHECK(call({"check", "--json", TROUPE_SOURCE_DIR "/config/word_count.toml"}).out == "[]\n");
}

TEST_CASE("every example of config is valid") {
  for (const auto& entry : std::filesystem::directory_iterator(TROUPE_SOURCE_DIR "/config")) {
    if (entry.path().extension() != ".toml") continue;
    INFO(entry.path());
    CHECK(call({"check", entry.path()}).exit_code == 0);
  }
}

TEST_CASE("colour is used as it is wished for") {
  const Scratch scratch;
  const std::string file = scratch.file("[[process]]\n");
  const auto colored = [&](std::vector<std::string> words, const std::vector<std::string>& environment) {
    words.insert(words.begin(), "check");
    words.push_back(file);
    return has(call(words, environment).err, "\x1b[");
  };
  CHECK_FALSE(colored({}, {"NO_COLOR=", "CLICOLOR_FORCE="}));
  CHECK(colored({"--color=always"}, {"NO_COLOR=1"}));
  CHECK(colored({}, {"NO_COLOR=", "CLICOLOR_FORCE=1", "TERM=dumb"}));
  CHECK_FALSE(colored({}, {"NO_COLOR=1", "CLICOLOR_FORCE=1"}));
  CHECK_FALSE(colored({"--color=never"}, {"NO_COLOR=", "CLICOLOR_FORCE=1"}));
}

TEST_CASE("the ready-made actors and their arguments are listed") {
  const auto all = call({"actors"});
  CHECK(all.exit_code == 0);
  CHECK(has(all.out, "text_reader\n    path: text, required\n"));
  CHECK(has(all.out, "chunk_size: size, default 256KiB"));
  CHECK_FALSE(has(call({"actors", "word_tally"}).out, "text_reader"));
  const auto json = call({"actors", "--json"});
  CHECK(has(json.out, "\"name\": \"text_reader\""));
  CHECK(has(json.out, R"({"name": "path", "type": "text", "required": true, "default": null})"));
  CHECK(has(json.out, R"({"name": "tally", "type": "actor", "required": false, "default": "tally"})"));
  CHECK(has(json.out, R"({"name": "chunk_size", "type": "size", "required": false, "default": "256KiB"})"));
  CHECK(has(json.out, R"({"name": "top", "type": "integer", "required": false, "default": 10})"));
  const auto none = call({"actors", "word_talley"});
  CHECK(none.exit_code == 2);
  CHECK(has(none.err, "did you mean `word_tally`?"));
}

TEST_CASE("the actors of a library are listed, too") {
  const auto all = call({"actors", "--library", library("test_misbehaving")});
  CHECK(all.exit_code == 0);
  CHECK(has(all.out, "asker\n    whom: text, required\n"));
  CHECK_FALSE(has(all.out, "text_reader"));
  CHECK(call({"actors", "--library", library("test_misbehaving"), "idler"}).out ==
        "idler\n    deaf: true or false, default false\n");
  const auto none = call({"actors", "--library", library("test_misbehaving"), "ilder"});
  CHECK(none.exit_code == 2);
  CHECK(has(none.err, "there is no actor `ilder`; did you mean `idler`?"));
  const auto broken = call({"actors", "--library", library("test_bad_crashes")});
  CHECK(broken.exit_code == 2);
  CHECK(has(broken.err, "it crashed when it was loaded: SIGABRT"));
}

TEST_CASE("what an actor looks for by default must be in the file") {
  const Scratch scratch;
  const auto result = call({"check", scratch.file("[[process]]\nname = \"tally\"\nactor = \"word_tally\"\n"
                                                  "[[process]]\nname = \"counter\"\nactor = \"word_counter\"\n")});
  CHECK(result.exit_code == 2);
  CHECK(has(result.err, "actor `word_counter` without a `reader` needs an actor `reader`, which is not in this topology"));
  CHECK(has(result.err, "has an error\n"));
}

TEST_CASE("libraries that cannot be used are errors at their line") {
  const Scratch scratch;
  const auto says = [&](const std::string& path, const std::string& what) {
    const auto result = call({"check", scratch.file("[[process]]\nname = \"a\"\nactor = \"nobody\"\nlibrary = \"" + path + "\"\n")});
    INFO(result.err);
    CHECK(result.exit_code == 2);
    CHECK(has(result.err, ":4:11"));
    CHECK(has(result.err, what));
  };
  says("libnone.so", "No such file or directory");
  says(scratch.file(std::string(4096, 'x'), "lib.so"), "invalid ELF header");
  says(library("test_bad_crashes"), "it crashed when it was loaded: SIGABRT");
  says(library("test_bad_exits"), "it ended the process that loaded it, with code 0");
  says(library("test_bad_empty"), "it has no function `troupe_actors`\n");
  says(library("test_bad_empty"), "help: add `extern \"C\" void troupe_actors(troupe::ActorCatalog& catalog)");
  says(library("test_bad_throws"), "no actors today");
  says(library("test_bad_twice"), "nobody");
  says(library("test_bad_hangs"), "it did not say in time which actors it has");
}

TEST_CASE("arguments are checked against the actors of a library") {
  const Scratch scratch;
  const auto result = call({"check", scratch.file(process("a", "crasher", "args = { how = \"abrot\", ealy = true }") + process("b", "crasher"))});
  CHECK(result.exit_code == 2);
  CHECK(has(result.err, "did you mean `abort`?"));
  CHECK(has(result.err, "did you mean `early`?"));
  CHECK(has(result.err, "needs the argument `how`"));
}

TEST_CASE("actors of a library run, find one another and end") {
  const Scratch scratch;
  const auto file = scratch.file(process("asker", "asker", "args = { whom = \"greeter\" }\nrestart = \"transient\"") +
                                 process("greeter", "greeter", "args = { words = \"${WORDS:-good day}\" }\nrestart = \"transient\"") +
                                 "[[link]]\nbetween = [\"asker\", \"greeter\"]\ntransport = \"pipe\"\n");
  const auto result = call({"run", file});
  INFO(result.err);
  CHECK(result.exit_code == 0);
  CHECK(result.out == "good day\n");
  CHECK(call({"run", file}, {"WORDS=bye"}).out == "bye\n");
}

TEST_CASE("a file that is wrong starts nothing") {
  const Scratch scratch;
  const auto result = call({"run", scratch.file(process("a", "idler") + "[[process]]\nname = \"b\"\n")});
  CHECK(result.exit_code == 2);
  CHECK(result.out.empty());
}

TEST_CASE("a child that crashes on start is given up after the allowed restarts, with one message") {
  const Scratch scratch;
  const std::string policy = "[supervisor]\nmax_restarts = 2\nmax_seconds = \"10s\"\n";
  const auto result = call({"run", scratch.file(policy + process("good", "idler") + process("bad", "crasher", "args = { how = \"exit\", early = true }"))});
  INFO(result.err);
  CHECK(result.exit_code == 1);
  CHECK(has(result.err, "gave up on `bad`, which ended 3 times within 10s, the last time: exited with code 3"));
  CHECK(count(result.err, "gave up") == 1);
  CHECK(result.out == "good up\ngood stopped\n");
}

TEST_CASE("what an actor threw is said") {
  const Scratch scratch;
  const std::string policy = "[supervisor]\nmax_restarts = 0\n";
  const auto early = call({"run", scratch.file(policy + process("bad", "crasher", "args = { how = \"throw\", early = true }"))});
  CHECK(early.exit_code == 1);
  CHECK(has(early.err, "no such luck"));
  CHECK(has(early.err, "gave up on `bad`, which ended 1 time within 5s"));
  const auto late = call({"run", scratch.file(policy + process("bad", "crasher", "args = { how = \"throw\" }"))});
  CHECK(late.exit_code == 1);
  CHECK(has(late.err, "no such luck"));
  const auto aborted = call({"run", scratch.file(policy + process("bad", "crasher", "args = { how = \"abort\" }"))});
  CHECK(has(aborted.err, "killed by SIGABRT"));
}

TEST_CASE("a supervisor below gives up first, and the message is about its child") {
  const Scratch scratch;
  const auto result = call({"run", scratch.file("[[supervisor]]\nmax_restarts = 1\n[[supervisor]]\nname = \"s\"\nmax_restarts = 1\n" +
                                                  process("bad", "crasher", "under = \"s\"\nargs = { how = \"abort\" }"))});
  INFO(result.err);
  CHECK(result.exit_code == 1);
  CHECK(has(result.err, "error: gave up on `s/bad`, which ended 2 times within 5s, the last time: killed by SIGABRT"));
  CHECK(count(result.err, "error:") == 1);
}

TEST_CASE("a significant child's end is the end of all") {
  const Scratch scratch;
  const auto run = [&](const std::string& how) {
    return call({"run", scratch.file("[supervisor]\nauto_shutdown = \"any_significant\"\n" + process("idler", "idler") +
                                       process("main", "crasher", "restart = \"temporary\"\nsignificant = true\nargs = { how = \"" + how + "\" }"))});
  };
  const auto good = run("succeed");
  CHECK(good.exit_code == 0);
  CHECK(good.out == "idler up\nidler stopped\n");
  const auto bad = run("exit");
  CHECK(bad.exit_code == 1);
  CHECK(has(bad.err, "`main` exited with code 3; it is not restarted"));
}

TEST_CASE("the command ends though whoever ran it ignores the ends of children") {
  const Scratch scratch;
  const auto file = scratch.file(process("p", "crasher", "count = 3\nrestart = \"transient\"\nargs = { how = \"succeed\" }"));
  const auto result = Command({"/usr/bin/python3", "-c",
                               "import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])",
                               TROUPE_COMMAND, "run", file}).wait();
  INFO(result.err);
  CHECK(result.exit_code == 0);
}

TEST_CASE("a process that was there before the command is let live") {
  const Scratch scratch;
  const auto file = scratch.file(process("p", "crasher", "restart = \"transient\"\nargs = { how = \"succeed\" }"));
  // It writes its line when the command has closed the pipe, so at its end; the last `cat` waits for that.
  const auto result = Command({"/bin/bash", "-c", R"((exec 3>&1; exec "$@" > >(cat; echo still there >&3)) | cat)", "bash",
                               TROUPE_COMMAND, "run", file}).wait();
  INFO(result.err);
  CHECK(result.exit_code == 0);
  CHECK(result.out == "still there\n");
}

TEST_CASE("two hundred processes of one name run and end") {
  const Scratch scratch;
  const auto result = call({"run", scratch.file(process("p", "crasher", "count = 200\nrestart = \"transient\"\nargs = { how = \"succeed\" }"))});
  INFO(result.err);
  CHECK(result.exit_code == 0);
  CHECK(result.err.empty());
}
