#include <troupe/value.h>

#include <capnp/any.h>
#include <capnp/serialize.h>
#include <fmt/format.h>
#include <troupe/errors.h>

namespace troupe {

TypeMismatch::TypeMismatch(std::string_view expected, std::string_view got)
    : std::runtime_error(fmt::format("expected {}, got {}", expected, got)) {}

namespace wire {

void refuse_value(std::string_view why) { throw ProtocolError(fmt::format("value: {}", why)); }
void refuse_size() { throw std::length_error("a value is too large: a list, string or bytes has 2^29 elements at most, and all of it is at most 4 GiB"); }
void refuse_attachments() { throw std::logic_error("a handle can be sent only by what carries handles along"); }

void check_message(std::span<const std::byte> stream) {
  std::vector<capnp::word> words(stream.size() / sizeof(capnp::word));
  if (words.size() * sizeof(capnp::word) != stream.size()) refuse_value("a message is not made of words");
  if (!words.empty()) std::memcpy(words.data(), stream.data(), stream.size());
  try {
    capnp::FlatArrayMessageReader reader(kj::arrayPtr(words.data(), words.size()),
                                         troupe::detail::reader_options(words.size()));
    if (reader.getEnd() != words.data() + words.size()) refuse_value("a message does not fill its place");
    const auto root = reader.getRoot<capnp::AnyPointer>();
    if (!root.isNull() && !root.isStruct()) refuse_value("a message is not a struct");
    static_cast<void>(root.targetSize());
  } catch (const kj::Exception& error) {
    refuse_value(fmt::format("not a Cap'n Proto message: {}", error.getDescription().cStr()));
  }
}

}  // namespace wire
}  // namespace troupe
