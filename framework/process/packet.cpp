#include "process/packet.h"

namespace troupe::process {

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
