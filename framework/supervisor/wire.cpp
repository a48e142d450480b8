#include "supervisor/wire.h"

#include <capnp/serialize.h>

#include <cstring>
#include <functional>
#include <set>

#include <troupe/errors.h>

namespace troupe::supervisor {

namespace {

constexpr unsigned kDepthMax = 32;

template <class Enum>
Enum checked(std::uint8_t value, Enum last) {
  if (value > static_cast<std::uint8_t>(last)) throw ProtocolError("unknown word of supervision");
  return static_cast<Enum>(value);
}

template <class Message, class Use>
void read_message(std::span<const std::byte> bytes, const Use& use) {
  std::vector<capnp::word> words(bytes.size() / sizeof(capnp::word));
  std::memcpy(static_cast<void*>(words.data()), bytes.data(), words.size() * sizeof(capnp::word));
  try {
    capnp::FlatArrayMessageReader reader(kj::arrayPtr(words.data(), words.size()), {.traversalLimitInWords = 4 * words.size() + 128, .nestingLimit = 4 * kDepthMax});
    use(reader.getRoot<Message>());
  } catch (const kj::Exception& error) {
    throw ProtocolError(std::string("malformed message about supervisors: ") + error.getDescription().cStr());
  }
}

}  // namespace

void write(wire::Supervisor::Builder to, const SupervisorSpec& from, const WorkForm& form) {
  to.setStrategy(static_cast<std::uint8_t>(from.strategy));
  to.setMaxRestarts(from.max_restarts);
  to.setMaxSeconds(from.max_seconds.count());
  to.setAutoShutdown(static_cast<std::uint8_t>(from.auto_shutdown));
  to.setFirstStart(static_cast<std::uint8_t>(from.first_start));
  to.setEndWhenDone(from.end_when_done);
  to.setBackoffMin(from.backoff.min.count());
  to.setBackoffMax(from.backoff.max.count());
  to.setFactor(from.backoff.factor);
  to.setJitter(from.backoff.jitter);
  to.setReset(from.backoff.reset.count());
  auto children = to.initChildren(static_cast<unsigned>(from.children.size()));
  for (unsigned i = 0; i < children.size(); ++i) write(children[i], from.children[i], form);
}

void write(wire::Child::Builder to, const ChildSpec& from, const WorkForm& form) {
  to.setId(from.id);
  to.setRestart(static_cast<std::uint8_t>(from.restart));
  to.setSignificant(from.significant);
  to.setStopTimeout(from.stop_timeout.count());
  to.setStartTimeout(from.start_timeout.count());
  if (from.supervisor) write(to.initSupervisor(), *from.supervisor, form);
  else form.write(to, from);
}

void write(wire::Known::Builder to, const Tree::View& from) {
  to.setPath(from.path);
  to.setState(static_cast<std::uint8_t>(from.child.state));
  to.setSupervisor(from.child.spec.supervisor != nullptr);
  to.setRestarts(from.child.restarts);
  to.setDied(from.child.last_death.has_value());
  if (from.child.last_death) write(to.initDeath(), *from.child.last_death);
}

SupervisorSpec read(wire::Supervisor::Reader from, const WorkForm& form, unsigned depth) {
  if (depth > kDepthMax) throw ProtocolError("supervisors nest too deep");
  SupervisorSpec spec;
  spec.strategy = checked(from.getStrategy(), Strategy::rest_for_one);
  spec.max_restarts = from.getMaxRestarts();
  spec.max_seconds = Duration(from.getMaxSeconds());
  spec.auto_shutdown = checked(from.getAutoShutdown(), AutoShutdown::all_significant);
  spec.first_start = checked(from.getFirstStart(), FirstStart::retry);
  spec.end_when_done = from.getEndWhenDone();
  spec.backoff = {Duration(from.getBackoffMin()), Duration(from.getBackoffMax()), from.getFactor(), from.getJitter(), Duration(from.getReset())};
  std::set<std::string> ids;
  for (const auto child : from.getChildren()) {
    spec.children.push_back(read(child, form, depth));
    if (const char* problem = spec_problem(spec.children.back(), spec.auto_shutdown)) throw ProtocolError(problem);
    if (!ids.insert(spec.children.back().id).second) throw ProtocolError("two children of one id");
  }
  return spec;
}

ChildSpec read(wire::Child::Reader from, const WorkForm& form, unsigned depth) {
  ChildSpec spec;
  spec.id = from.getId().cStr();
  spec.restart = checked(from.getRestart(), Restart::temporary);
  spec.significant = from.getSignificant();
  spec.stop_timeout = Duration(from.getStopTimeout());
  spec.start_timeout = Duration(from.getStartTimeout());
  if (from.isSupervisor()) spec.supervisor = std::make_shared<SupervisorSpec>(read(from.getSupervisor(), form, depth + 1));
  else spec.work = form.read(from);
  return spec;
}

std::vector<std::byte> bytes_of(capnp::MessageBuilder& message) {
  const auto words = capnp::messageToFlatArray(message);
  const auto bytes = words.asBytes();
  const auto* begin = reinterpret_cast<const std::byte*>(bytes.begin());
  return {begin, begin + bytes.size()};
}

void read_order(std::span<const std::byte> bytes, const std::function<void(wire::Order::Reader)>& use) { read_message<wire::Order>(bytes, use); }

void read_news(std::span<const std::byte> bytes, const std::function<void(wire::News::Reader)>& use) { read_message<wire::News>(bytes, use); }

}  // namespace troupe::supervisor
