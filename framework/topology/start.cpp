#include "topology/start.h"

#include <capnp/any.h>
#include <capnp/message.h>
#include <capnp/serialize.h>

#include <fmt/format.h>

#include <cstring>
#include <memory>
#include <string>

#include <troupe/errors.h>

#include "program/host.h"
#include "topology/start.capnp.h"

namespace troupe::topology {

namespace {

// The words of a message, aligned as Cap'n Proto wants them.
std::vector<capnp::word> words_of(const void* bytes, std::size_t size) {
  std::vector<capnp::word> words(size / sizeof(capnp::word));
  std::memcpy(words.data(), bytes, words.size() * sizeof(capnp::word));
  return words;
}

capnp::ReaderOptions unlimited() { return {.traversalLimitInWords = ~std::uint64_t{0}}; }  // our own root wrote it

}  // namespace

std::vector<std::byte> start_arguments(const ActorWork& work, void (*add_actors)(ActorCatalog&)) {
  capnp::MallocMessageBuilder message;
  auto start = message.initRoot<wire::Start>();
  start.setName(work.name.c_str());
  start.setActor(work.actor.c_str());
  start.setLibrary(work.library.c_str());
  start.setArguments({reinterpret_cast<const capnp::byte*>(work.arguments.data()), work.arguments.size()});
  start.setAddActors(reinterpret_cast<std::uint64_t>(add_actors));
  const auto words = capnp::messageToFlatArray(message);
  const auto bytes = words.asBytes();
  const auto* begin = reinterpret_cast<const std::byte*>(bytes.begin());
  return {begin, begin + bytes.size()};
}

namespace {

template <class Use>
auto read_start(std::span<const std::byte> arguments, const Use& use) {
  const auto words = words_of(arguments.data(), arguments.size());
  capnp::FlatArrayMessageReader message(kj::arrayPtr(words.data(), words.size()), unlimited());
  return use(message.getRoot<wire::Start>());
}

}  // namespace

std::unique_ptr<Actor> make_actor(Context& context, std::span<const std::byte> arguments) {
  return read_start(arguments, [&](wire::Start::Reader start) {
    ActorCatalog catalog;
    if (start.getLibrary().size() > 0) load_library(start.getLibrary().cStr(), catalog);
    else if (start.getAddActors()) reinterpret_cast<void (*)(ActorCatalog&)>(start.getAddActors())(catalog);
    const auto* entry = catalog.find(start.getActor().cStr());
    if (!entry) throw ConfigError(fmt::format("there is no actor `{}` any more", start.getActor().cStr()));
    const auto given = start.getArguments();
    const auto given_words = words_of(given.begin(), given.size());
    capnp::FlatArrayMessageReader reader(kj::arrayPtr(given_words.data(), given_words.size()), unlimited());
    return entry->make(context, reader.getRoot<capnp::AnyStruct>());
  });
}

int start_actor(std::span<const std::byte> arguments) {
  const std::string name = read_start(arguments, [](wire::Start::Reader start) { return std::string(start.getName().cStr()); });
  return program::host_actor([&](Context& context) { return make_actor(context, arguments); }, {.name = name, .print_failure = false});
}

}  // namespace troupe::topology
