#include "topology/library.h"

#include <capnp/message.h>
#include <capnp/serialize.h>

#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>

#include <cstring>
#include <map>

#include <troupe/errors.h>

#include "os/check_call.h"
#include "os/descriptor.h"
#include "topology/library.capnp.h"

namespace troupe::topology {

namespace {

constexpr std::size_t kReportMax = std::size_t{16} << 20;

void collect(capnp::Type type, std::map<std::uint64_t, capnp::Schema>& schemas);

void collect(capnp::Schema schema, std::map<std::uint64_t, capnp::Schema>& schemas) {
  if (!schemas.emplace(schema.getProto().getId(), schema).second) return;
  if (schema.getProto().isStruct())
    for (auto field : schema.asStruct().getFields()) collect(field.getType(), schemas);
}

void collect(capnp::Type type, std::map<std::uint64_t, capnp::Schema>& schemas) {
  while (type.isList()) type = type.asList().getElementType();
  if (type.isStruct()) collect(type.asStruct(), schemas);
  if (type.isEnum()) collect(type.asEnum(), schemas);
}

void report_actors(const ActorCatalog& catalog, wire::LibraryReport::Builder report) {
  const auto names = catalog.names();
  std::map<std::uint64_t, capnp::Schema> schemas;
  auto actors = report.initActors(static_cast<unsigned>(names.size()));
  for (unsigned i = 0; i < actors.size(); ++i) {
    const auto arguments = catalog.find(names[i])->arguments;
    collect(arguments, schemas);
    actors[i].setName(names[i].c_str());
    actors[i].setArguments(arguments.getProto().getId());
  }
  auto nodes = report.initSchemas(static_cast<unsigned>(schemas.size()));
  unsigned next = 0;
  for (const auto& [id, schema] : schemas) nodes.setWithCaveats(next++, schema.getProto());
}

// The life of the child that loads the library.
[[noreturn]] void load_and_report(const std::string& path, int out, pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  for (int fd = 0; fd <= 2; ++fd) dup2(null, fd);
  capnp::MallocMessageBuilder message;
  auto report = message.initRoot<wire::LibraryReport>();
  try {
    ActorCatalog catalog;
    load_library(path, catalog);
    report_actors(catalog, report);
  } catch (const std::exception& error) {
    report.setError(error.what());
  } catch (...) {
    report.setError("it threw something while its actors were listed");
  }
  try {
    capnp::writeMessageToFd(out, message);
  } catch (...) {
    _exit(1);
  }
  _exit(0);
}

// Everything that comes within the time; what is missing then shows when it is parsed.
std::string read_all(int fd, Duration timeout, bool& late) {
  const auto deadline = deadline_after(timeout);
  std::string bytes;
  char buffer[65536];
  while (bytes.size() <= kReportMax) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    pollfd wait{fd, POLLIN, 0};
    const int ready = left > 0 ? poll(&wait, 1, static_cast<int>(std::min<long long>(left, 60000))) : 0;
    late = ready == 0;
    if (late) break;
    if (ready < 0 && errno == EINTR) continue;
    const auto got = os::retry_interrupted([&] { return read(fd, buffer, sizeof buffer); });
    if (got <= 0) break;
    bytes.append(buffer, static_cast<std::size_t>(got));
  }
  return bytes;
}

LibraryActors parse(const std::string& bytes) {
  LibraryActors result;
  // Aligned, as Cap'n Proto wants it.
  std::vector<capnp::word> words(bytes.size() / sizeof(capnp::word));
  std::memcpy(words.data(), bytes.data(), words.size() * sizeof(capnp::word));
  capnp::FlatArrayMessageReader reader(kj::arrayPtr(words.data(), words.size()));
  const auto report = reader.getRoot<wire::LibraryReport>();
  const std::string error = report.getError().cStr();
  const auto line = error.find('\n');
  result.error = error.substr(0, line);
  if (line != std::string::npos) result.help = error.substr(line + 1);
  if (!result.error.empty()) return result;
  result.schemas = std::make_shared<capnp::SchemaLoader>();
  for (auto node : report.getSchemas()) result.schemas->load(node);
  for (auto actor : report.getActors())
    result.actors.push_back({actor.getName().cStr(), result.schemas->get(actor.getArguments()).asStruct()});
  return result;
}

std::string describe(int status) {
  if (WIFSIGNALED(status)) return fmt::format("it crashed when it was loaded: SIG{}", sigabbrev_np(WTERMSIG(status)));
  return fmt::format("it ended the process that loaded it, with code {}", WEXITSTATUS(status));
}

}  // namespace

void load_library(const std::string& path, ActorCatalog& catalog) {
  if (access(path.c_str(), F_OK) != 0) throw ConfigError(std::strerror(errno));
  void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle) throw ConfigError(dlerror());
  const auto add_actors = reinterpret_cast<void (*)(ActorCatalog&)>(dlsym(handle, "troupe_actors"));
  if (!add_actors)
    throw ConfigError(
        "it has no function `troupe_actors`\n"
        "add `extern \"C\" void troupe_actors(troupe::ActorCatalog& catalog) { catalog.add<MyActor>(\"my_actor\"); }` to its "
        "sources");
  add_actors(catalog);
}

LibraryActors inspect_library(const std::string& path, Duration timeout) {
  int ends[2];
  os::check_call(pipe2(ends, O_CLOEXEC), "pipe2");
  const os::Descriptor in(ends[0]);
  os::Descriptor out(ends[1]);
  const pid_t parent = getpid();
  const pid_t child = os::check_call(fork(), "fork");
  if (child == 0) load_and_report(path, out.get(), parent);
  out.reset();
  bool late = false;
  const std::string bytes = read_all(in.get(), timeout, late);
  if (late || bytes.size() > kReportMax) kill(child, SIGKILL);
  int status = 0;
  os::retry_interrupted([&] { return waitpid(child, &status, 0); });
  LibraryActors failed;
  if (late) failed.error = "it did not say in time which actors it has";
  else if (status != 0 || bytes.empty()) failed.error = describe(status);
  if (!failed.error.empty()) return failed;
  try {
    return parse(bytes);
  } catch (const kj::Exception& error) {
    failed.error = fmt::format("what it says of its actors makes no sense: {}", error.getDescription().cStr());
    return failed;
  }
}

}  // namespace troupe::topology
