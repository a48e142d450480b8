#include "message/value_types.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <utility>

namespace troupe::message {

namespace {

using wire::Kind;
using What = ValueType::What;

constexpr int kDepthMax = 32;

struct Word {
  std::string_view name;
  What what;
  unsigned bits;
  bool is_signed;
};
constexpr Word kWords[] = {
    {"bool", What::boolean, 1, false},     {"char", What::character, 8, false},  {"byte", What::byte, 8, false},
    {"int8", What::integer, 8, true},      {"int16", What::integer, 16, true},   {"int", What::integer, 32, true},
    {"int64", What::integer, 64, true},    {"uint8", What::integer, 8, false},   {"uint16", What::integer, 16, false},
    {"uint", What::integer, 32, false},    {"uint64", What::integer, 64, false}, {"float", What::floating, 32, false},
    {"double", What::floating, 64, false}, {"string", What::string, 0, false},   {"bytes", What::bytes, 0, false},
};
constexpr std::pair<std::string_view, What> kTemplates[] = {
    {"vector", What::vector},     {"set", What::set},         {"map", What::map},           {"array", What::array},
    {"optional", What::optional}, {"variant", What::variant}, {"duration", What::duration}, {"message", What::message},
};

void lay_out_tuple(ValueType& type) {
  type.kind = Kind::structure;
  wire::DataRoom room;
  for (const auto& part : type.parts)
    type.slots.push_back(part.kind == Kind::data ? room.take(wire::log_of_bits(part.bits)) : type.shape.pointers++);
  type.shape.data = room.words();
  if (type.shape.words() == 0) type.shape.data = 1;
}

void lay_out_variant(ValueType& type) {
  type.kind = Kind::structure;
  const auto is_data = [](const ValueType& part) { return part.kind == Kind::data; };
  type.shape.data = 1 + std::ranges::any_of(type.parts, is_data);
  type.shape.pointers = !std::ranges::all_of(type.parts, is_data);
}

std::size_t name_size(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::find_if_not(text, wire::is_name_character) - text.begin());
}
// The same of a name that may be several words.
std::size_t words_size(std::string_view text) {
  std::size_t size = name_size(text);
  while (size != 0 && text.substr(size).starts_with(' ') && name_size(text.substr(size + 1)) != 0)
    size += 1 + name_size(text.substr(size + 1));
  return size;
}

// type   = word | "(" [field {", " field}] ")" | words "<" arguments ">"
// field  = [name ": "] type
class Parser {
 public:
  explicit Parser(std::string_view text) : rest_(text) {}

  ValueType all() {
    ValueType type = parse(0);
    if (!rest_.empty()) fail();
    return type;
  }

 private:
  [[noreturn]] static void fail() { wire::refuse_value("its types are not named as types are"); }

  bool accept(std::string_view what) {
    if (!rest_.starts_with(what)) return false;
    rest_.remove_prefix(what.size());
    return true;
  }
  void expect(std::string_view what) {
    if (!accept(what)) fail();
  }
  std::string_view name() {
    return take(name_size(rest_));
  }
  std::string_view words() { return take(words_size(rest_)); }
  std::string_view take(std::size_t size) {
    if (size == 0) fail();
    const auto taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return taken;
  }
  std::uint64_t number() {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
    if (error != std::errc()) fail();
    rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
    return value;
  }

  ValueType parse(int depth) {
    if (depth > kDepthMax) wire::refuse_value("its types are nested too deep");
    if (accept("(")) return tuple(depth);
    const auto word = words();
    if (accept("<")) return from_template(word, depth);
    const auto known = std::ranges::find(kWords, word, &Word::name);
    if (known == std::end(kWords)) fail();
    ValueType type;
    type.what = known->what;
    type.bits = known->bits;
    type.is_signed = known->is_signed;
    type.kind = known->bits == 0 ? Kind::pointer : Kind::data;
    return type;
  }

  ValueType tuple(int depth) {
    ValueType type;
    type.what = What::tuple;
    while (!accept(")")) {
      if (!type.parts.empty()) expect(", ");
      const auto before = rest_;
      std::string field(rest_.substr(0, name_size(rest_)));
      rest_.remove_prefix(field.size());
      if (!field.empty() && accept(": ")) type.fields.push_back(std::move(field));
      else rest_ = before;
      type.parts.push_back(parse(depth + 1));
    }
    if (!type.fields.empty() && type.fields.size() != type.parts.size()) fail();
    lay_out_tuple(type);
    return type;
  }

  ValueType from_template(std::string_view word, int depth) {
    ValueType type;
    const auto known = std::ranges::find(kTemplates, word, &std::pair<std::string_view, What>::first);
    type.what = known == std::end(kTemplates) ? What::named : known->second;
    type.kind = Kind::pointer;
    if (type.what == What::message) {
      name();  // for people: the number says it all
      expect(" ");
      type.number = number();
    } else {
      const auto first = rest_;
      type.parts.push_back(parse(depth + 1));
      if (type.what == What::named && !rest_.starts_with(">")) {
        type.of = first.substr(0, first.size() - rest_.size());
        expect(", ");
        type.parts[0] = parse(depth + 1);
      }
      arguments(type, word, depth);
    }
    expect(">");
    return type;
  }

  // What follows the first argument of a template.
  void arguments(ValueType& type, std::string_view word, int depth) {
    switch (type.what) {
      case What::map: {
        expect(", ");
        ValueType pair;
        pair.what = What::tuple;
        pair.parts.push_back(std::move(type.parts[0]));
        pair.parts.push_back(parse(depth + 1));
        lay_out_tuple(pair);
        type.parts[0] = std::move(pair);
        break;
      }
      case What::array:
        expect(", ");
        type.number = number();
        break;
      case What::variant:
        while (accept(", ")) type.parts.push_back(parse(depth + 1));
        lay_out_variant(type);
        break;
      case What::duration:
        expect(", ");
        type.number = number();
        expect("/");
        type.divisor = number();
        if (type.number == 0 || type.divisor == 0 || type.parts[0].kind != Kind::data) fail();
        [[fallthrough]];
      case What::named:
        type.name = word;
        type.bits = type.parts[0].bits;
        type.kind = type.parts[0].kind;
        type.shape = type.parts[0].shape;
        break;
      default: break;
    }
  }

  std::string_view rest_;
};

// What stands in "<…>", with which `types` begins.
struct Arguments {
  explicit Arguments(std::string_view types) {
    std::size_t end = 1;
    std::size_t comma = 1;
    for (int depth = 0; end < types.size() && (depth != 0 || types[end] != '>'); ++end) {
      if (types[end] == '<' || types[end] == '(') ++depth;
      if (types[end] == '>' || types[end] == ')') --depth;
      if (types[end] == ',' && depth == 0) comma = end;
    }
    all = types.substr(1, end - 1);
    but_last = types.substr(1, comma - 1);
    behind = types.substr(std::min(end + 1, types.size()));
  }
  std::string_view all, but_last, behind;
};

}  // namespace

ValueType parse_types(std::string_view text) { return Parser(text).all(); }

std::string types_for_people(std::string_view types) {
  std::string text;
  while (!types.empty()) {
    const auto word = types.substr(0, words_size(types));
    types.remove_prefix(word.size());
    text += word;
    if (word.empty()) text += types.front(), types.remove_prefix(1);
    if (word.empty() || !types.starts_with('<')) continue;
    // The last argument of a Codec says how it travels.
    const Arguments arguments(types);
    std::string shown;
    if (word == "message") shown = arguments.all.substr(0, name_size(arguments.all));
    else if (std::ranges::count(kTemplates, word, &std::pair<std::string_view, What>::first) != 0) shown = types_for_people(arguments.all);
    else shown = types_for_people(arguments.but_last);
    if (!shown.empty()) text += '<' + shown + '>';
    types = arguments.behind;
  }
  return text;
}

ReadSpot read_field(wire::WireReader& reader, const ValueType& field, const std::byte* at, wire::Shape shape, unsigned slot) {
  if (field.kind == Kind::data) return {at, slot};
  const std::byte* pointer = at + (shape.data + slot) * wire::kWord;
  return {field.kind == Kind::pointer ? pointer : reader.get_required_struct(pointer, field.shape), 0};
}

wire::WireReader::List read_list(wire::WireReader& reader, const ValueType& element, const std::byte* pointer) {
  return element.kind == Kind::structure ? reader.get_struct_list(pointer, element.shape)
                                         : reader.get_list(pointer, element.element());
}

std::uint64_t read_integer(const ValueType& type, ReadSpot spot) {
  const std::byte* at = spot.at + spot.bit / 8;
  switch (type.bits) {
    case 1: return std::to_integer<std::uint64_t>(*at >> spot.bit % 8 & std::byte{1});
    case 8: return type.is_signed ? static_cast<std::uint64_t>(wire::load<std::int8_t>(at)) : wire::load<std::uint8_t>(at);
    case 16: return type.is_signed ? static_cast<std::uint64_t>(wire::load<std::int16_t>(at)) : wire::load<std::uint16_t>(at);
    case 32: return type.is_signed ? static_cast<std::uint64_t>(wire::load<std::int32_t>(at)) : wire::load<std::uint32_t>(at);
    default: return wire::load<std::uint64_t>(at);
  }
}

ValueParts split_value(std::span<const std::byte> bytes) {
  const std::size_t size = bytes.size() < 2 ? 0 : wire::load<std::uint16_t>(bytes.data());
  const std::size_t padded = (size + 2 + 7) / 8 * 8;
  if (bytes.size() < padded) wire::refuse_value("it ends before the name of its types");
  if ((bytes.size() - padded) % wire::kWord != 0) wire::refuse_value("it is not made of words");
  return {{reinterpret_cast<const char*>(bytes.data()) + 2, size}, bytes.subspan(padded)};
}

}  // namespace troupe::message
