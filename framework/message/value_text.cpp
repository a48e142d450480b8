#include "message/value_text.h"

#include <capnp/dynamic.h>
#include <capnp/serialize.h>
#include <fmt/format.h>
#include <troupe/errors.h>

#include <algorithm>
#include <iterator>

#include "message/value_types.h"

namespace troupe::message {

namespace {

using wire::Kind;
using What = ValueType::What;

struct Unit {
  std::uint64_t number, divisor;
  const char* name;
};
constexpr Unit kUnits[] = {{1, 1'000'000'000, "ns"}, {1, 1'000'000, "us"}, {1, 1000, "ms"}, {1, 1, "s"},
                           {60, 1, "min"},           {3600, 1, "h"},       {86400, 1, "d"}};

// Of values in a field of a message.
constexpr std::size_t kValueCharactersMax = 4096;

// Thrown when there is text enough.
struct Enough {};

class Printer {
 public:
  Printer(wire::WireReader& reader, std::size_t characters_max, const FindSchema& find)
      : reader_(reader), characters_max_(characters_max), find_(find) {}

  void show(const ValueType& type, ReadSpot spot) {
    if (text.size() > characters_max_) throw Enough();
    switch (type.what) {
      case What::boolean: text += read_integer(type, spot) != 0 ? "true" : "false"; break;
      case What::character: quote({reinterpret_cast<const char*>(spot.at) + spot.bit / 8, 1}, '\''); break;
      case What::byte:
      case What::integer: show_integer(type, spot); break;
      case What::floating: show_floating(type, spot); break;
      case What::string: quote(wire::TextForm::view(reader_, spot.at), '"'); break;
      case What::bytes: show_bytes(reader_.get_list(spot.at, wire::Element::byte)); break;
      case What::vector: show_list(type, spot, "[]"); break;
      case What::set: show_list(type, spot, "{}"); break;
      case What::map: show_map(type.parts[0], spot); break;
      case What::array: show_list(type, spot, "[]"); break;
      case What::optional: show_optional(type.parts[0], spot); break;
      case What::message: show_message(type, reader_.get_list(spot.at, wire::Element::byte)); break;
      case What::tuple: show_tuple(type, spot); break;
      case What::variant: show_variant(type, spot); break;
      case What::duration: show_duration(type, spot); break;
      case What::named: show_named(type, spot); break;
    }
  }

  std::string text;

 private:
  auto to() { return std::back_inserter(text); }

  void show_integer(const ValueType& type, ReadSpot spot) {
    const auto value = read_integer(type, spot);
    if (type.is_signed) fmt::format_to(to(), "{}", static_cast<std::int64_t>(value));
    else fmt::format_to(to(), "{}", value);
  }
  void show_floating(const ValueType& type, ReadSpot spot) {
    const std::byte* at = spot.at + spot.bit / 8;
    if (type.bits == 32) fmt::format_to(to(), "{}", wire::load<float>(at));
    else fmt::format_to(to(), "{}", wire::load<double>(at));
  }
  // Takes no more of a string than can be shown.
  void quote(std::string_view string, char mark) {
    text += mark;
    for (const char c : string) {
      if (text.size() > characters_max_) throw Enough();
      if (c == mark || c == '\\') text += {'\\', c};
      else if (c == '\n') text += "\\n";
      else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) fmt::format_to(to(), "\\x{:02x}", static_cast<unsigned>(c));
      else text += c;
    }
    text += mark;
  }
  void show_bytes(wire::WireReader::List list) {
    constexpr std::size_t kShown = 32;
    fmt::format_to(to(), "bytes({})", list.count);
    if (list.count != 0) text += ' ';
    for (std::size_t i = 0; i < std::min(list.count, kShown); ++i)
      fmt::format_to(to(), "{:02x}", std::to_integer<unsigned>(list.at[i]));
    if (list.count > kShown) text += "…";
  }

  void show_list(const ValueType& type, ReadSpot spot, const char* brackets) {
    const ValueType& element = type.parts[0];
    const auto list = read_list(reader_, element, spot.at);
    if (type.what == What::array && list.count != type.number) wire::refuse_value("an array is not as long as its type says");
    text += brackets[0];
    for (std::size_t i = 0; i < list.count; ++i) {
      if (i != 0) text += ", ";
      show(element, element_at(element, list.at, i));
    }
    text += brackets[1];
  }
  void show_map(const ValueType& pair, ReadSpot spot) {
    const auto list = read_list(reader_, pair, spot.at);
    text += '{';
    for (std::size_t i = 0; i < list.count; ++i) {
      if (i != 0) text += ", ";
      const std::byte* at = element_at(pair, list.at, i).at;
      show_part(pair, 0, at);
      text += ": ";
      show_part(pair, 1, at);
    }
    text += '}';
  }
  void show_part(const ValueType& tuple, std::size_t i, const std::byte* at) {
    show(tuple.parts[i], read_field(reader_, tuple.parts[i], at, tuple.shape, tuple.slots[i]));
  }
  void show_tuple(const ValueType& type, ReadSpot spot) {
    text += '(';
    for (std::size_t i = 0; i < type.parts.size(); ++i) {
      if (i != 0) text += ", ";
      if (!type.fields.empty()) fmt::format_to(to(), "{} = ", type.fields[i]);
      show_part(type, i, spot.at);
    }
    text += ')';
  }
  void show_optional(const ValueType& part, ReadSpot spot) {
    const std::byte* box = reader_.get_struct(spot.at, box_shape(part));
    if (!box) text += "none";
    else show(part, in_box(box));
  }
  void show_variant(const ValueType& type, ReadSpot spot) {
    const auto index = wire::load<std::uint16_t>(spot.at);
    if (index >= type.parts.size()) wire::refuse_value("a variant has no such alternative");
    const ValueType& part = type.parts[index];
    show(part, read_field(reader_, part, spot.at, type.shape, variant_slot(part)));
  }
  void show_duration(const ValueType& type, ReadSpot spot) {
    show(type.parts[0], spot);
    const auto same = [&](const Unit& unit) { return unit.number == type.number && unit.divisor == type.divisor; };
    const auto unit = std::ranges::find_if(kUnits, same);
    if (unit != std::end(kUnits)) text += unit->name;
    else fmt::format_to(to(), "*{}/{}s", type.number, type.divisor);
  }
  void show_named(const ValueType& type, ReadSpot spot) {
    text += type.name;
    const bool tuple = type.parts[0].what == What::tuple;
    if (!tuple) text += '(';
    show(type.parts[0], spot);
    if (!tuple) text += ')';
  }
  void show_message(const ValueType& type, wire::WireReader::List list) {
    const std::span<const std::byte> stream(list.at, list.count);
    wire::check_message(stream);
    const auto schema = find_ ? find_(type.number) : std::nullopt;
    if (!schema) {
      fmt::format_to(to(), "@0x{:x} ", type.number);
      return show_bytes(list);
    }
    std::vector<capnp::word> words(list.count / sizeof(capnp::word));
    std::memcpy(words.data(), stream.data(), stream.size());
    capnp::FlatArrayMessageReader message(kj::arrayPtr(words.data(), words.size()),
                                          troupe::detail::reader_options(words.size()));
    fmt::format_to(to(), "{} {}", schema->getShortDisplayName().cStr(),
                   dynamic_text(message.getRoot<capnp::DynamicStruct>(*schema)));
  }

  wire::WireReader& reader_;
  std::size_t characters_max_;
  const FindSchema& find_;
};

}  // namespace

std::string value_text(std::span<const std::byte> bytes, std::size_t characters_max, const FindSchema& find) {
  std::string shown;
  try {
    const auto [types, message] = split_value(bytes);
    const ValueType type = parse_types(types);
    wire::WireReader reader(message, nullptr);
    Printer printer(reader, characters_max, find);
    try {
      const std::byte* box = reader.get_required_struct(reader.get_root(), box_shape(type));
      printer.show(type, in_box(box));
      reader.finish();
      shown = std::move(printer.text);
    } catch (...) {
      shown = std::move(printer.text);
      throw;
    }
  } catch (const Enough&) {
    shown += "…";
  } catch (const ProtocolError& error) {
    shown += fmt::format("[{}]", error.what());
  } catch (const kj::Exception& error) {
    shown += fmt::format("[{}]", error.getDescription().cStr());
  }
  if (shown.size() > characters_max) {
    shown.resize(characters_max);
    shown += "…";
  }
  return shown;
}

namespace {

std::string any_text(capnp::DynamicValue::Reader value);

std::string list_text(capnp::DynamicList::Reader list) {
  std::string text = "[";
  for (capnp::uint i = 0; i < list.size(); ++i) text += (i == 0 ? "" : ", ") + any_text(list[i]);
  return text + "]";
}

std::string struct_text(capnp::DynamicStruct::Reader from) {
  if (from.getSchema().getProto().getId() == capnp::typeId<schema::Value>()) {
    const auto bytes = from.get("bytes").as<capnp::Data>();  // not as Value: the schema may come from a SchemaLoader
    return value_text({reinterpret_cast<const std::byte*>(bytes.begin()), bytes.size()}, kValueCharactersMax, nullptr);
  }
  std::string text = "(";
  const auto show = [&](capnp::StructSchema::Field field) {
    if (text.size() > 1) text += ", ";
    text += fmt::format("{} = {}", field.getProto().getName().cStr(), any_text(from.get(field)));
  };
  for (const auto field : from.getSchema().getNonUnionFields())
    if (from.has(field)) show(field);
  KJ_IF_MAYBE (field, from.which()) {
    if (field->getProto().getDiscriminantValue() != 0 || from.has(*field)) show(*field);
  }
  return text + ")";
}

std::string any_text(capnp::DynamicValue::Reader value) {
  if (value.getType() == capnp::DynamicValue::STRUCT) return struct_text(value.as<capnp::DynamicStruct>());
  if (value.getType() == capnp::DynamicValue::LIST) return list_text(value.as<capnp::DynamicList>());
  return kj::str(value).cStr();
}

}  // namespace

std::string dynamic_text(capnp::DynamicStruct::Reader message) { return struct_text(message); }

}  // namespace troupe::message

namespace troupe {

std::string values_to_text(std::span<const std::byte> bytes, std::size_t characters_max) {
  return message::value_text(bytes, characters_max, nullptr);
}

}  // namespace troupe
