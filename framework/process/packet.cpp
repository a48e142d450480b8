#include "process/packet.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/check_call.h"

namespace troupe::process {

namespace {

constexpr off_t kOrderSizeMax = 64 << 20;

}  // namespace

os::Descriptor write_sealed(std::span<const std::byte> bytes) {
  os::Descriptor memfd(os::check_call(::memfd_create("troupe-arguments", MFD_CLOEXEC | MFD_ALLOW_SEALING), "memfd_create"));
  while (!bytes.empty()) {
    const auto size = os::retry_interrupted([&] { return ::write(memfd.get(), bytes.data(), bytes.size()); });
    bytes = bytes.subspan(static_cast<std::size_t>(os::check_call(size, "write(arguments)")));
  }
  os::check_call(::fcntl(memfd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL), "fcntl(F_ADD_SEALS)");
  return memfd;
}

std::vector<std::byte> read_sealed(const os::Descriptor& memfd) {
  constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
  struct stat status;
  const int seals = ::fcntl(memfd.get(), F_GET_SEALS);
  if (seals < 0 || (seals & kSeals) != kSeals || ::fstat(memfd.get(), &status) != 0) throw ProtocolError("no sealed memory");
  if (status.st_size > kOrderSizeMax) throw ProtocolError("an order of more than 64 MiB");
  std::vector<std::byte> bytes(static_cast<std::size_t>(status.st_size));
  for (std::size_t got = 0; got < bytes.size();) {
    const auto size = ::pread(memfd.get(), bytes.data() + got, bytes.size() - got, static_cast<off_t>(got));
    if (size <= 0) throw ProtocolError("memory that cannot be read");
    got += static_cast<std::size_t>(size);
  }
  return bytes;
}

void write(control::Limits::Builder to, const Limits& from) {
  to.setMemoryBudget(from.memory_budget);
  to.setMemoryMax(from.memory_max);
  if (from.open_files) to.setOpenFiles(static_cast<std::int64_t>(*from.open_files));
  if (from.core_dumps) to.setCoreDumps(*from.core_dumps ? 1 : 0);
  if (from.nice) to.setNice(*from.nice);
  auto cpus = to.initCpus(static_cast<unsigned>(from.cpus.size()));
  for (unsigned i = 0; i < cpus.size(); ++i) cpus.set(i, from.cpus[i]);
  to.setWorkingDirectory(from.working_directory);
}

Limits read(control::Limits::Reader from) {
  Limits limits{.memory_budget = from.getMemoryBudget(), .memory_max = from.getMemoryMax()};
  if (from.getOpenFiles() >= 0) limits.open_files = static_cast<std::size_t>(from.getOpenFiles());
  if (from.getCoreDumps() >= 0) limits.core_dumps = from.getCoreDumps() > 0;
  if (from.getNice() != 1000) limits.nice = from.getNice();
  for (const auto cpu : from.getCpus()) limits.cpus.push_back(cpu);
  limits.working_directory = from.getWorkingDirectory().cStr();
  return limits;
}

void write(control::LinkOptions::Builder to, const transport::LinkOptions& from) {
  to.setKind(static_cast<std::uint8_t>(from.kind));
  to.setRingBytes(from.ring_bytes);
  to.setFrameSizeMax(from.frame_size_max);
}

transport::LinkOptions read(control::LinkOptions::Reader from) {
  if (from.getKind() > static_cast<std::uint8_t>(transport::Kind::pipe)) throw ProtocolError("unknown kind of link");
  return {static_cast<transport::Kind>(from.getKind()), from.getRingBytes(), from.getFrameSizeMax()};
}

void write(control::Start::Builder to, const ChildSpec& from) {
  to.setName(from.name);
  to.setStopTimeout(from.stop_timeout.count());
  to.setStartTimeout(from.start_timeout.count());
  to.setDaemon(from.daemon);
  to.setProgram(from.program);
  to.setKeepStderr(from.keep_stderr);
  if (from.limits != Limits{}) write(to.initLimits(), from.limits);
  if (from.environment.empty()) return;
  auto variables = to.initEnvironment(static_cast<unsigned>(from.environment.size()));
  for (unsigned i = 0; i < variables.size(); ++i) {
    variables[i].setName(from.environment[i].first);
    variables[i].setValue(from.environment[i].second);
  }
}

ChildSpec read(control::Start::Reader from) {
  ChildSpec spec;
  spec.name = from.getName().cStr();
  spec.stop_timeout = Duration(from.getStopTimeout());
  spec.start_timeout = Duration(from.getStartTimeout());
  spec.daemon = from.getDaemon();
  spec.program = from.getProgram();
  spec.keep_stderr = from.getKeepStderr();
  if (from.hasLimits()) spec.limits = read(from.getLimits());
  for (const auto variable : from.getEnvironment()) {
    spec.environment.emplace_back(variable.getName().cStr(), variable.getValue().cStr());
  }
  return spec;
}

}  // namespace troupe::process
