#include "process/packet.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace troupe::process {

namespace {

constexpr off_t kOrderSizeMax = 64 << 20;

}  // namespace

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

void write(control::Death::Builder to, const troupe::Death& from) {
  to.setCause(static_cast<std::uint8_t>(from.cause));
  to.setCode(from.code);
  if (!from.detail.empty()) to.setDetail(from.detail.substr(0, kDetailSizeMax));
}

troupe::Death read(control::Death::Reader from) {
  if (from.getCause() > static_cast<std::uint8_t>(troupe::Death::kLastCause)) throw ProtocolError("unknown cause of death");
  return {static_cast<troupe::Death::Cause>(from.getCause()), from.getCode(), from.getDetail().cStr()};
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
  for (const auto variable : from.getEnvironment()) {
    spec.environment.emplace_back(variable.getName().cStr(), variable.getValue().cStr());
  }
  return spec;
}

}  // namespace troupe::process
