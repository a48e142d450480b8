#include <troupe/errors.h>
#include <troupe/value.h>

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "message/value_types.h"

// A sender and a receiver may differ in the sizes of integers and floating-point numbers: an int is read as an int64, and the
// other way round if it fits. The message is then written anew as the receiver would have sent it.
namespace troupe::message {

namespace {

using wire::Kind;
using What = ValueType::What;
using WriteSpot = Spot<std::byte>;

bool names_agree(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  return a.empty() || b.empty() || a == b;
}

// True if a value of the one type may be one of the other.
bool fits(const ValueType& from, const ValueType& to) {
  if (from.what != to.what || from.parts.size() != to.parts.size()) return false;
  if (from.what == What::floating && from.bits > to.bits) return false;
  if (from.number != to.number || from.divisor != to.divisor || from.name != to.name || from.of != to.of) return false;
  if (!names_agree(from.fields, to.fields)) return false;
  return std::equal(from.parts.begin(), from.parts.end(), to.parts.begin(), fits);
}

TypeMismatch mismatch(std::string_view expected, std::string_view got) {
  const std::string ours = types_for_people(expected);
  const std::string theirs = types_for_people(got);
  return ours == theirs ? TypeMismatch(expected, got) : TypeMismatch(ours, theirs);
}

class Adapter {
 public:
  Adapter(wire::WireReader& reader, wire::WireWriter& writer) : reader_(reader), writer_(writer) {}

  void copy(const ValueType& from, ReadSpot source, const ValueType& to, WriteSpot target) {
    switch (from.what) {
      case What::boolean:
        if (read_integer(from, source) != 0) target.at[target.bit / 8] |= std::byte{1} << (target.bit % 8);
        break;
      case What::character:
      case What::byte:
      case What::integer: copy_integer(from, source, to, target); break;
      case What::floating: copy_floating(from, source, to, target); break;
      case What::string:
      case What::bytes:
      case What::message: copy_bytes(source, target); break;
      case What::vector:
      case What::set:
      case What::map:
      case What::array: copy_list(from.parts[0], source, to.parts[0], target); break;
      case What::optional: copy_optional(from.parts[0], source, to.parts[0], target); break;
      case What::tuple:
        for (std::size_t i = 0; i < from.parts.size(); ++i) copy_field(from, from.slots[i], source, to, to.slots[i], target, i);
        break;
      case What::variant: copy_variant(from, source, to, target); break;
      case What::duration:
      case What::named: copy(from.parts[0], source, to.parts[0], target); break;
    }
  }

 private:
  void copy_integer(const ValueType& from, ReadSpot source, const ValueType& to, WriteSpot target) {
    const auto value = read_integer(from, source);
    std::byte* at = target.at + target.bit / 8;
    std::memcpy(at, &value, to.bits / 8);
    const bool negative = from.is_signed && static_cast<std::int64_t>(value) < 0;
    const bool read_as_negative = to.is_signed && static_cast<std::int64_t>(read_integer(to, {at, 0})) < 0;
    if (read_integer(to, {at, 0}) == value && negative == read_as_negative) return;
    wire::refuse_value(negative ? fmt::format("{} does not fit", static_cast<std::int64_t>(value))
                                : fmt::format("{} does not fit", value));
  }
  static void copy_floating(const ValueType& from, ReadSpot source, const ValueType& to, WriteSpot target) {
    const std::byte* at = source.at + source.bit / 8;
    std::byte* place = target.at + target.bit / 8;
    if (from.bits == to.bits) std::memcpy(place, at, to.bits / 8);  // not by way of a number: that makes a signalling NaN a quiet one
    else wire::store(place, static_cast<double>(wire::load<float>(at)));
  }
  void copy_bytes(ReadSpot source, WriteSpot target) {
    const auto list = reader_.get_list(source.at, wire::Element::byte);
    if (list.count != 0) std::memcpy(writer_.put_list(target.at, wire::Element::byte, list.count), list.at, list.count);
  }
  void copy_list(const ValueType& from, ReadSpot source, const ValueType& to, WriteSpot target) {
    const auto list = read_list(reader_, from, source.at);
    if (list.count == 0) return;
    std::byte* place = to.kind == Kind::structure ? writer_.put_struct_list(target.at, to.shape, list.count)
                                                  : writer_.put_list(target.at, to.element(), list.count);
    for (std::size_t i = 0; i < list.count; ++i) copy(from, element_at(from, list.at, i), to, element_at(to, place, i));
  }
  void copy_optional(const ValueType& from, ReadSpot source, const ValueType& to, WriteSpot target) {
    const std::byte* box = reader_.get_struct(source.at, box_shape(from));
    if (box) copy(from, in_box(box), to, in_box(writer_.put_struct(target.at, box_shape(to))));
  }
  void copy_field(const ValueType& from, unsigned from_slot, ReadSpot source, const ValueType& to, unsigned to_slot,
                  WriteSpot target, std::size_t part) {
    const ValueType& field = to.parts[part];
    std::byte* pointer = target.at + (to.shape.data + to_slot) * wire::kWord;
    const ReadSpot read = read_field(reader_, from.parts[part], source.at, from.shape, from_slot);
    WriteSpot write{target.at, to_slot};
    if (field.kind == Kind::pointer) write = {pointer, 0};
    if (field.kind == Kind::structure) write = {writer_.put_struct(pointer, field.shape), 0};
    copy(from.parts[part], read, field, write);
  }
  void copy_variant(const ValueType& from, ReadSpot source, const ValueType& to, WriteSpot target) {
    const auto index = wire::load<std::uint16_t>(source.at);
    if (index >= from.parts.size()) wire::refuse_value("a variant has no such alternative");
    wire::store(target.at, index);
    copy_field(from, variant_slot(from.parts[index]), source, to, variant_slot(to.parts[index]), target, index);
  }

  wire::WireReader& reader_;
  wire::WireWriter& writer_;
};

}  // namespace
}  // namespace troupe::message

namespace troupe::wire {

std::vector<std::byte> adapt_value(std::span<const std::byte> bytes, std::string_view expected) {
  using namespace message;
  const auto [types, body] = split_value(bytes);
  const ValueType from = parse_types(types);
  const ValueType to = parse_types(expected);
  if (!fits(from, to)) throw mismatch(expected, types);
  WireReader reader(body, nullptr);
  const std::byte* box = reader.get_required_struct(reader.get_root(), box_shape(from));
  // An int8 becomes at most an int64.
  const std::size_t room = body.size() * 8;
  const std::unique_ptr<std::byte[]> adapted(new std::byte[room]);
  WireWriter writer({adapted.get(), room}, nullptr);
  Adapter(reader, writer).copy(from, in_box(box), to, in_box(writer.put_struct(writer.put_root(), box_shape(to))));
  reader.finish();
  return {adapted.get(), writer.end()};
}

}  // namespace troupe::wire
