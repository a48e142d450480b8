// Rooms: message. Any bytes as a frame: refused with a ProtocolError, or every field can be read, shown as text and copied without
// touching a byte outside.
#include <capnp/dynamic.h>
#include <troupe/address.h>
#include <troupe/errors.h>

#include <cstring>
#include <memory>

#include "message/control.capnp.h"
#include "message/decode.h"
#include "message/frame.h"

using namespace troupe;

namespace {

// Reads the message as a struct of a type that its sender may not have meant, in all its depth.
template <class T>
void read_as(const detail::Body& body) {
  try {
    detail::read<T>(body, [](typename T::Reader reader) {
      static_cast<void>(reader.totalSize());
      const auto text = kj::str(reader);
      const Message<T> copy(reader);
      static_cast<void>(copy.bytes());
    });
  } catch (const kj::Exception&) {  // inside, but not of this type
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const message::Decoder decoder = [] {
    message::Decoder all;
    all.add(capnp::Schema::from<capnp::schema::Node>());
    all.add(capnp::Schema::from<message::DeathRecord>());
    return all;
  }();
  // A header that fits is put in front of most inputs, or few would get further.
  const bool as_is = size == 0 || (data[0] & 7) == 7;
  const std::uint8_t flags = size == 0 ? 0 : static_cast<std::uint8_t>(data[0] >> 3 & 3);
  if (size != 0) ++data, --size;
  if (!as_is) size -= size % 8;

  std::vector<std::byte> frame;
  if (!as_is) {
    const message::FrameHeader header{.bytes = static_cast<std::uint32_t>(size), .kind = message::Kind::reply, .flags = flags,
                                      .schema = capnp::typeId<capnp::schema::Node>()};
    frame.resize(sizeof header);
    std::memcpy(frame.data(), &header, sizeof header);
  }
  frame.insert(frame.end(), reinterpret_cast<const std::byte*>(data), reinterpret_cast<const std::byte*>(data) + size);
  static_cast<void>(decoder.text(frame));
  try {
    const auto header = message::read_header(frame);
    // Of exactly this size, so that ASan guards its ends.
    const std::unique_ptr<capnp::word[]> words(new capnp::word[header.bytes / sizeof(capnp::word)]);
    std::memcpy(words.get(), frame.data() + sizeof header, header.bytes);
    message::with_body(header, words.get(), [](const detail::Body& body) {
      if (body.count == 0) return;
      read_as<capnp::schema::Node>(body);  // all that a schema can have: groups, unions, lists of structs, text, data, any pointer
      read_as<message::DeathRecord>(body);
      read_as<schema::Address>(body);
    });
  } catch (const ProtocolError&) {
  }
  return 0;
}
