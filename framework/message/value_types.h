#pragma once

#include <troupe/value_form.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::message {

// A type as it is named in front of encoded values, and where its values lie: what troupe::wire::Form knows at compile time.
//
//     ValueType type = parse_types("(int, vector<string>)");
//
// Threads: a value.
struct ValueType {
  enum class What : std::uint8_t {
    boolean,
    character,
    byte,
    integer,
    floating,  // scalars
    string,
    bytes,
    vector,
    set,
    map,
    array,
    optional,
    message,
    tuple,
    variant,
    duration,
    named,  // lie as their only part
  };

  What what = What::boolean;
  bool is_signed = false;           // an integer
  std::uint64_t number = 0;         // the length of an array, the id of a message, ticks of a duration …
  std::uint64_t divisor = 1;        // … by this are seconds
  std::string name;                 // of named …
  std::string of;                   // … and what it is of, if anything
  std::vector<ValueType> parts;     // of a map: the tuple of key and value
  std::vector<std::string> fields;  // the names of a tuple's parts, if they have any

  unsigned bits = 0;  // of a scalar
  wire::Kind kind = wire::Kind::data;
  wire::Shape shape;            // of a structure
  std::vector<unsigned> slots;  // of its parts

  [[nodiscard]] wire::Element element() const {
    return kind == wire::Kind::data ? wire::element_of_bits(bits) : wire::Element::pointer;
  }
};

// Throws ProtocolError if this names no types, or if they are nested deeper than any reader follows.
ValueType parse_types(std::string_view text);
// The name of types without what only machines want to know: "queue<int>" for "queue<int, uint64>".
std::string types_for_people(std::string_view types);

// Where a value lies: data in the section `at` from `bit` on; a pointer at `at`; a structure from `at` on.
template <class Byte>
struct Spot {
  Byte* at = nullptr;
  std::size_t bit = 0;
};
using ReadSpot = Spot<const std::byte>;

// The fields of a structure and the elements of lists, in the order in which they must be read.
ReadSpot read_field(wire::WireReader& reader, const ValueType& field, const std::byte* at, wire::Shape shape, unsigned slot);
wire::WireReader::List read_list(wire::WireReader& reader, const ValueType& element, const std::byte* pointer);

template <class Byte>
Spot<Byte> element_at(const ValueType& element, Byte* list, std::size_t i) {
  if (element.kind == wire::Kind::data) return {list, i * element.bits};
  return {list + i * wire::kWord * (element.kind == wire::Kind::pointer ? 1 : element.shape.words()), 0};
}

// The struct that stands for one value behind a pointer, and the slot of the value in it.
inline wire::Shape box_shape(const ValueType& type) {
  if (type.kind == wire::Kind::structure) return type.shape;
  return type.kind == wire::Kind::data ? wire::Shape{1, 0} : wire::Shape{0, 1};
}
template <class Byte>
Spot<Byte> in_box(Byte* box) {
  return {box, 0};  // a structure is its own box; else it is the first thing in it
}
// Of the alternatives of a variant.
inline unsigned variant_slot(const ValueType& alternative) { return alternative.kind == wire::Kind::data ? 64 : 0; }

// An integer of any size; what does not fit is cut off. A signed one is sign-extended.
std::uint64_t read_integer(const ValueType& type, ReadSpot spot);

// The name of the types in front of encoded values, and the message behind it. Throws ProtocolError if there is none.
struct ValueParts {
  std::string_view types;
  std::span<const std::byte> message;
};
ValueParts split_value(std::span<const std::byte> bytes);

}  // namespace troupe::message
