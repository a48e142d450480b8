#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <vector>

#include <troupe/value.capnp.h>
#include <troupe/value_containers.h>
#include <troupe/value_form.h>

namespace troupe {

// C++ values as bytes, for other processes of the same tree:
//
//     std::vector<std::byte> bytes = troupe::encode_values(3, std::string("apples"));
//     auto [count, what] = troupe::decode_values<int, std::string>(bytes);
//
// What can be sent: bool, integers, float, double, enums, std::byte; string, vector, array, deque, list, set, map and their
// unordered ones, optional, pair, tuple, variant, monostate, durations, system time, path; Address; Message<T> of any Cap'n
// Proto struct T; handles; string_view, span and literals (they arrive as string and vector); and structs: plain aggregates of
// up to 16 fields as they are, other classes that can be made by default once they declare their fields in one line:
//
//     class Person {
//      public:
//       static auto fields(auto& self) { return std::tie(self.name_, self.age_); }
//       static constexpr std::array field_names{"name", "age"};  // if they are to be told from others by name
//     };
//
// or by a Codec (value_form.h). A type that contains itself cannot; send a tree as a Message. Nothing executable travels: a
// pointer, reference or function does not compile.
//
// The bytes say which types they are of. Who expects others gets TypeMismatch; bytes that nobody has written, ProtocolError.
// Neither takes more memory than the receiver's types need for what came. How values lie in the bytes:
// decisions/0003-values.md.
//
// Threads: any.

// The receiver expects other types than the sender sent: "expected (int, string), got (string)". Its bytes are all right.
class TypeMismatch : public std::runtime_error {
 public:
  TypeMismatch(std::string_view expected, std::string_view got);
};

// What travels beside the bytes: handles, by root's number of what is behind them, and descriptors. Whoever moves bytes with
// attachments moves these too, and in the same order.
struct Attachments {
  std::vector<std::uint64_t> handles;
  std::vector<int> descriptors;
  mutable std::vector<std::uint64_t> arrived = {};  // handles that were read from the bytes: their things are open here now
};

template <class T>
concept Encodable = wire::HasForm<std::remove_cvref_t<T>>;
template <class T>
concept Sendable = Encodable<T> && wire::Form<std::remove_cvref_t<T>>::kReceivable;

namespace wire {

template <class T>
consteval void check_encodable() {
  constexpr bool pointer = std::is_pointer_v<T> || std::is_member_pointer_v<T>;
  constexpr bool executable = std::is_function_v<T> || requires { &T::operator(); };
  constexpr bool derived = Aggregate<T> && HasBase<T>;
  constexpr bool has_array = Aggregate<T> && HasArray<T>;
  constexpr bool too_many = Aggregate<T> && !FewFields<T>;
  static_assert(!pointer, "a pointer means nothing in another process: send what it points at");
  static_assert(!executable, "nothing executable travels: send data, and start a Process of it");
  static_assert(!has_array, "a C array in a struct cannot be sent: make it a std::array");
  static_assert(!derived && !too_many, "a struct of more than 16 fields, or with a base class, must declare its fields: static auto "
                                       "fields(auto& self) { return std::tie(self.a, self.b); }; is a C array in it, make it a std::array");
  static_assert(pointer || executable || derived || has_array || too_many || Encodable<T>,
                "this type cannot be sent: let it declare static auto fields(auto& self) { return std::tie(self.a, self.b); } "
                "of types that can be sent, or specialise troupe::Codec");
}
template <class T>
consteval void check_receivable() {
  static_assert(!std::is_reference_v<T>, "a reference cannot be received: name the type itself");
  check_encodable<T>();
  if constexpr (Encodable<T>)
    static_assert(Sendable<T>, "a view cannot be received, for there is nothing to look at: receive a string or a vector");
}

// The message as if it had been sent as `expected`, where only sizes of numbers differ and all of them fit. Throws TypeMismatch
// for other types, ProtocolError for what does not fit.
std::vector<std::byte> adapt_value(std::span<const std::byte> bytes, std::string_view expected);

// Several values travel as the tuple of them, one as itself.
template <class... T>
struct Root {
  using Travelling = std::tuple<T...>;
  static std::tuple<const T&...> tie(const T&... values) { return {values...}; }
};
template <class T>
struct Root<T> {
  using Travelling = T;
  static const T& tie(const T& value) { return value; }
};

// The two halves of encoded values. First the name of their types, its length in front, padded to words.
template <class... T>
inline constexpr auto kTypePrefix = [] {
  constexpr std::string_view text = Form<typename Root<T...>::Travelling>::kTypes;
  static_assert(text.size() < 65536 - 8, "this type is too large to be sent");
  std::array<std::byte, (text.size() + 2 + 7) / 8 * 8> prefix{};
  prefix[0] = static_cast<std::byte>(text.size() & 0xff);
  prefix[1] = static_cast<std::byte>(text.size() >> 8);
  for (std::size_t i = 0; i < text.size(); ++i) prefix[i + 2] = static_cast<std::byte>(text[i]);
  return prefix;
}();

// Then the Cap'n Proto message. Whoever keeps the types elsewhere, once for many values, may use this alone.
template <class... T>
struct Body {
  using Box = BoxForm<Form<typename Root<T...>::Travelling>>;
  static std::size_t size(const T&... values) {
    const std::size_t words = 1 + Box::kShape.words() + extra_of<Box>(Root<T...>::tie(values...));
    if (words > kWireMax) refuse_size();
    return words * kWord;
  }
  static void write(std::span<std::byte> room, Attachments* attachments, const T&... values) {
    WireWriter writer(room, attachments);
    Box::fill(writer, writer.put_struct(writer.put_root(), Box::kShape), Root<T...>::tie(values...));
    if (!writer.full()) refuse_size();
  }
  // Not auto: then what cannot be read would be an error here besides. A literal is only written.
  static std::decay_t<typename Root<T...>::Travelling> read(std::span<const std::byte> message, const Attachments* attachments) {
    WireReader reader(message, attachments);
    const std::byte* root = reader.get_root();
    auto values = Box::read(reader, reader.get_required_struct(root, Box::kShape));
    reader.finish();
    return values;
  }
};

}  // namespace wire

// The name of the types as it travels: "(int, string)", "vector<double>".
template <class... T>
constexpr std::string_view types_of() {
  (wire::check_encodable<std::remove_cvref_t<T>>(), ...);
  return wire::Form<typename wire::Root<std::remove_cvref_t<T>...>::Travelling>::kTypes;
}

// How many bytes encode_to() needs for these values: a multiple of 8.
template <class... T>
std::size_t encoded_size(const T&... values) {
  (wire::check_encodable<T>(), ...);
  return wire::kTypePrefix<T...>.size() + wire::Body<T...>::size(values...);
}

// Writes the values in place. `room` is of encoded_size(), of any alignment. Handles need `attachments`, others do without.
template <class... T>
void encode_to(std::span<std::byte> room, Attachments* attachments, const T&... values) {
  (wire::check_encodable<T>(), ...);
  constexpr auto& prefix = wire::kTypePrefix<T...>;
  if (room.size() < prefix.size()) wire::refuse_size();
  std::memcpy(room.data(), prefix.data(), prefix.size());
  wire::Body<T...>::write(room.subspan(prefix.size()), attachments, values...);
}

// Throws std::length_error for more than 4 GiB, or a list of more than 2^29 elements.
template <class... T>
std::vector<std::byte> encode_values(const T&... values) {
  std::vector<std::byte> bytes(encoded_size(values...));
  encode_to(bytes, nullptr, values...);
  return bytes;
}

// One value, of any alignment. Throws TypeMismatch, ProtocolError.
template <class T>
T decode_value(std::span<const std::byte> bytes, const Attachments* attachments = nullptr) {
  wire::check_receivable<T>();
  constexpr auto& prefix = wire::kTypePrefix<T>;
  if (bytes.size() < prefix.size() || std::memcmp(bytes.data(), prefix.data(), prefix.size()) != 0) [[unlikely]]
    return wire::Body<T>::read(wire::adapt_value(bytes, types_of<T>()), attachments);
  return wire::Body<T>::read(bytes.subspan(prefix.size()), attachments);
}

// Several values as they were given to encode_values(); also one.
template <class... T>
std::tuple<T...> decode_values(std::span<const std::byte> bytes, const Attachments* attachments = nullptr) {
  (wire::check_receivable<T>(), ...);
  if constexpr (sizeof...(T) == 1) return std::tuple<T...>(decode_value<T...>(bytes, attachments));
  else return decode_value<std::tuple<T...>>(bytes, attachments);
}

// Encoded values as text, without their C++ types: `(3, "apples", [1.5, 2], none)`. For people: at most `characters_max` of it,
// and what cannot be read is said in brackets.
std::string values_to_text(std::span<const std::byte> bytes, std::size_t characters_max = 4096);

namespace detail {
// Handles in the message that this thread builds to send it. Throws std::logic_error if it builds none.
void send_along(const std::vector<std::uint64_t>& handles);
// Handles in a message that this process has read.
void handles_arrived(const std::vector<std::uint64_t>& handles);
}  // namespace detail

// As a field of a message. Handles among them travel with a message that is being sent (not with a troupe::Message that is kept), and what
// they stand for stays until the receiver has read them; who passes them on reads and writes them.
//
//     server.send<Work>([&](Work::Builder work) { troupe::write_values(work.initResults(), queue); });
//     auto [queue] = troupe::read_values<troupe::Queue<int>>(work.getResults());
template <class... T>
void write_values(schema::Value::Builder to, const T&... values) {
  auto room = to.initBytes(static_cast<unsigned>(encoded_size(values...)));
  Attachments attachments;
  encode_to({reinterpret_cast<std::byte*>(room.begin()), room.size()}, &attachments, values...);
  if (!attachments.handles.empty()) detail::send_along(attachments.handles);
}
template <class... T>
std::tuple<T...> read_values(schema::Value::Reader from) {
  const auto bytes = from.getBytes();
  const Attachments handles;
  auto values = decode_values<T...>({reinterpret_cast<const std::byte*>(bytes.begin()), bytes.size()}, &handles);
  if (!handles.arrived.empty()) detail::handles_arrived(handles.arrived);
  return values;
}

}  // namespace troupe
