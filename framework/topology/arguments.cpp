#include "topology/arguments.h"

#include <capnp/dynamic.h>
#include <capnp/message.h>
#include <capnp/serialize.h>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "topology/fields.h"
#include "topology/units.h"

namespace troupe::topology {

namespace {

using Which = capnp::schema::Type::Which;

// Of annotations.capnp.
constexpr std::uint64_t kRequired = 0xa1f6c3d2e8b40751;
constexpr std::uint64_t kDuration = 0xb2e7d4c3f9a51862;
constexpr std::uint64_t kSize = 0xc3d8e5b40ab62973;
constexpr std::uint64_t kActor = 0xd4c9f6a51bc73a84;

bool annotated(capnp::StructSchema::Field field, std::uint64_t annotation) {
  for (const auto& one : field.getProto().getAnnotations())
    if (one.getId() == annotation) return true;
  return false;
}

std::string name_of(capnp::StructSchema::Field field) { return snake_case(field.getProto().getName().cStr()); }

bool in_union(capnp::StructSchema::Field field) {
  return field.getProto().getDiscriminantValue() != capnp::schema::Field::NO_DISCRIMINANT;
}

struct Range {
  std::int64_t min, max;
};

Range range_of(Which type) {
  switch (type) {
    case Which::INT8: return {-128, 127};
    case Which::INT16: return {-32768, 32767};
    case Which::INT32: return {std::numeric_limits<std::int32_t>::min(), std::numeric_limits<std::int32_t>::max()};
    case Which::UINT8: return {0, 255};
    case Which::UINT16: return {0, 65535};
    case Which::UINT32: return {0, std::numeric_limits<std::uint32_t>::max()};
    case Which::UINT64: return {0, std::numeric_limits<std::int64_t>::max()};
    default: return {std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max()};
  }
}

bool is_integer(Which type) {
  return (type >= Which::INT8 && type <= Which::INT64) || (type >= Which::UINT8 && type <= Which::UINT64);
}

// Fills in one struct after the other; a struct within takes one frame, and the text is not nested deeply.
class Builder {
 public:
  Builder(std::string actor, std::vector<ActorReference>& references, Diagnostics& diagnostics)
      : actor_(std::move(actor)), references_(references), diagnostics_(diagnostics) {}

  void fill_struct(capnp::DynamicStruct::Builder into, const Node& table) {
    const auto schema = into.getSchema();
    std::vector<std::string> known;
    std::string chosen;  // of the union
    for (auto field : schema.getFields()) known.push_back(name_of(field));
    for (const Entry& entry : table.entries) {
      const auto found = std::ranges::find(known, entry.key);
      if (found == known.end()) {
        unknown(entry, known);
        continue;
      }
      const auto field = schema.getFields()[static_cast<unsigned>(found - known.begin())];
      if (in_union(field) && !chosen.empty()) {
        diagnostics_.add(Code::argument, entry.place, fmt::format("`{}` and `{}` exclude one another", chosen, entry.key), "only one of them");
        continue;
      }
      if (in_union(field)) chosen = entry.key;
      fill_field(into, field, entry);
    }
    absent(into, table.place, [&](const std::string& name) { return table.find(name) != nullptr; });
  }

  // What the file does not give: is it required, is its default an actor of the file?
  template <class Given>
  void absent(capnp::DynamicStruct::Builder into, const Place& place, Given given) {
    for (auto field : into.getSchema().getFields()) {
      const std::string name = name_of(field);
      if (given(name)) continue;
      if (annotated(field, kRequired))
        diagnostics_.add(Code::argument, place, fmt::format("actor `{}` needs the argument `{}`", actor_, name),
                         fmt::format("`{}` is missing", name));
      else if (annotated(field, kActor) && field.getType().isText() && !in_union(field))
        refer(into.asReader().get(field).as<capnp::Text>().cStr(), place,
              fmt::format("actor `{}` without a `{}`", actor_, name));
    }
  }

 private:
  void unknown(const Entry& entry, const std::vector<std::string>& known) {
    auto& diagnostic = diagnostics_.add(Code::argument, entry.place, fmt::format("actor `{}` has no argument `{}`", actor_, entry.key), "unknown");
    if (const auto near = closest(entry.key, known); !near.empty()) diagnostic.help.push_back(fmt::format("did you mean `{}`?", near));
    else if (known.empty()) diagnostic.notes.push_back("it takes none");
    else diagnostic.notes.push_back(fmt::format("it takes {}", list_of(known)));
  }

  void fill_field(capnp::DynamicStruct::Builder into, capnp::StructSchema::Field field, const Entry& entry) {
    const auto type = field.getType();
    if (type.isStruct()) {  // a group, too
      if (entry.value.kind != Node::Kind::table) return wrong_type(diagnostics_, entry.value, entry.key, "a table");
      return fill_struct(into.init(field).as<capnp::DynamicStruct>(), entry.value);
    }
    if (type.isList()) {
      if (entry.value.kind != Node::Kind::array) return wrong_type(diagnostics_, entry.value, entry.key, "a list");
      const auto list = into.init(field, static_cast<unsigned>(entry.value.items.size())).as<capnp::DynamicList>();
      if (annotated(field, kActor))
        for (const Node& item : entry.value.items)
          if (item.kind == Node::Kind::text) refer(item.text, item.place, fmt::format("`{}`", entry.key));
      return fill_list(list, entry.value, entry.key);
    }
    if (is_integer(type.which()) && annotated(field, kDuration)) {
      if (const auto duration = duration_of(entry.value, entry.key, diagnostics_)) into.set(field, duration->count());
      return;
    }
    if (is_integer(type.which()) && annotated(field, kSize)) {
      if (const auto size = size_of(entry.value, entry.key, diagnostics_)) into.set(field, static_cast<std::int64_t>(*size));
      return;
    }
    with_scalar(type, entry.value, entry.key, [&](const capnp::DynamicValue::Reader& value) { into.set(field, value); });
    if (annotated(field, kActor) && type.isText() && entry.value.kind == Node::Kind::text)
      refer(entry.value.text, entry.value.place, fmt::format("`{}`", entry.key));
  }

  void refer(const std::string& name, const Place& place, std::string what) {
    if (!name.empty()) references_.push_back({name, place, std::move(what)});
  }

  void fill_list(capnp::DynamicList::Builder into, const Node& list, const std::string& list_key) {
    const auto type = into.getSchema().getElementType();
    for (unsigned i = 0; i < into.size(); ++i) {
      const Node& item = list.items[i];
      const std::string key = fmt::format("{}[{}]", list_key, i);
      if (type.isStruct()) {
        if (item.kind == Node::Kind::table) fill_struct(into[i].as<capnp::DynamicStruct>(), item);
        else wrong_type(diagnostics_, item, key, "a table");
      } else if (type.isList()) {
        if (item.kind == Node::Kind::array) fill_list(into.init(i, static_cast<unsigned>(item.items.size())).as<capnp::DynamicList>(), item, key);
        else wrong_type(diagnostics_, item, key, "a list");
      } else {
        with_scalar(type, item, key, [&](const capnp::DynamicValue::Reader& value) { into.set(i, value); });
      }
    }
  }

  // Calls `set` with the value as Cap'n Proto knows it, or notes why it is none.
  template <class Set>
  void with_scalar(capnp::Type type, const Node& node, const std::string& key, Set set) {
    if (is_integer(type.which())) return with_integer(type.which(), node, key, set);
    switch (type.which()) {
      case Which::BOOL:
        return node.kind == Node::Kind::boolean ? set(node.boolean) : wrong_type(diagnostics_, node, key, "true or false");
      case Which::VOID:
        if (node.kind == Node::Kind::boolean && node.boolean) return set(capnp::VOID);
        diagnostics_.add(Code::type, node.place, fmt::format("`{}` can only be true", key), "leave it out, or write true");
        return;
      case Which::FLOAT32:
      case Which::FLOAT64: return with_real(type.which(), node, key, set);
      case Which::TEXT: return with_text(node, key, set);
      case Which::DATA:
        if (node.kind != Node::Kind::text) return wrong_type(diagnostics_, node, key, "text");
        return set(capnp::Data::Reader(reinterpret_cast<const capnp::byte*>(node.text.data()), node.text.size()));
      case Which::ENUM: return with_enum(type.asEnum(), node, key, set);
      default:
        diagnostics_.add(Code::argument, node.place, fmt::format("`{}` cannot be given in a file", key), "of a type that text cannot hold");
    }
  }

  template <class Set>
  void with_integer(Which type, const Node& node, const std::string& key, Set set) {
    if (node.kind != Node::Kind::integer) return wrong_type(diagnostics_, node, key, "an integer");
    const Range range = range_of(type);
    if (node.integer < range.min || node.integer > range.max) {
      diagnostics_.add(Code::argument, node.place, fmt::format("`{}` must be from {} to {}, not {}", key, range.min, range.max, node.integer),
                       "out of range");
      return;
    }
    set(node.integer);
  }

  template <class Set>
  void with_real(Which type, const Node& node, const std::string& key, Set set) {
    if (node.kind != Node::Kind::integer && node.kind != Node::Kind::real) return wrong_type(diagnostics_, node, key, "a number");
    const double value = node.kind == Node::Kind::real ? node.real : static_cast<double>(node.integer);
    if (type == Which::FLOAT32 && std::isfinite(value) && std::abs(value) > std::numeric_limits<float>::max())
      return static_cast<void>(
          diagnostics_.add(Code::argument, node.place, fmt::format("`{}` is too large a number", key), "out of range"));
    set(value);
  }

  template <class Set>
  void with_text(const Node& node, const std::string& key, Set set) {
    if (node.kind != Node::Kind::text) return wrong_type(diagnostics_, node, key, "text");
    set(capnp::Text::Reader(node.text.c_str(), node.text.size()));
  }

  template <class Set>
  void with_enum(capnp::EnumSchema schema, const Node& node, const std::string& key, Set set) {
    if (node.kind != Node::Kind::text) return wrong_type(diagnostics_, node, key, "text");
    std::vector<std::string> known;
    for (auto enumerant : schema.getEnumerants()) {
      known.push_back(snake_case(enumerant.getProto().getName().cStr()));
      if (known.back() == node.text) return set(capnp::DynamicEnum(enumerant));
    }
    auto& diagnostic = diagnostics_.add(Code::argument, node.place, fmt::format("`{}` is no value of `{}`", node.text, key));
    if (const auto near = closest(node.text, known); !near.empty()) diagnostic.help.push_back(fmt::format("did you mean `{}`?", near));
    diagnostic.notes.push_back(fmt::format("its values are {}", list_of(known)));
  }

  std::string actor_;
  std::vector<ActorReference>& references_;
  Diagnostics& diagnostics_;
};

std::string type_name(capnp::StructSchema::Field field) {
  if (annotated(field, kActor)) return field.getType().isList() ? "list of actors" : "actor";
  if (annotated(field, kDuration)) return "duration";
  if (annotated(field, kSize)) return "size";
  const auto type = field.getType();
  if (is_integer(type.which())) return "integer";
  switch (type.which()) {
    case Which::BOOL: return "true or false";
    case Which::FLOAT32:
    case Which::FLOAT64: return "number";
    case Which::LIST: return "list";
    case Which::STRUCT: return "table";
    case Which::ENUM: {
      std::vector<std::string> words;
      for (auto enumerant : type.asEnum().getEnumerants()) words.push_back(snake_case(enumerant.getProto().getName().cStr()));
      return fmt::format("one of {}", list_of(words));
    }
    default: return "text";
  }
}

std::string default_of(capnp::StructSchema schema, capnp::StructSchema::Field field) {
  capnp::MallocMessageBuilder message;
  auto root = message.initRoot<capnp::DynamicStruct>(schema);
  if (in_union(field)) root.clear(field);  // now it is the one that is set
  const auto value = root.asReader().get(field);
  switch (value.getType()) {
    case capnp::DynamicValue::INT:
    case capnp::DynamicValue::UINT:
      if (annotated(field, kDuration)) return format_duration(Duration(value.as<std::int64_t>()));
      if (annotated(field, kSize)) return format_size(value.as<std::uint64_t>());
      return value.getType() == capnp::DynamicValue::INT ? fmt::format("{}", value.as<std::int64_t>())
                                                         : fmt::format("{}", value.as<std::uint64_t>());
    case capnp::DynamicValue::FLOAT: return fmt::format("{}", value.as<double>());
    case capnp::DynamicValue::BOOL: return value.as<bool>() ? "true" : "false";
    case capnp::DynamicValue::TEXT: {
      const std::string text = value.as<capnp::Text>().cStr();
      return text.empty() && annotated(field, kActor) ? "" : json_string(text);  // as in TOML
    }
    case capnp::DynamicValue::ENUM:
      KJ_IF_MAYBE(enumerant, value.as<capnp::DynamicEnum>().getEnumerant()) {
        return fmt::format("\"{}\"", snake_case(enumerant->getProto().getName().cStr()));
      }
      return "";
    default: return "";
  }
}

}  // namespace

std::string snake_case(std::string_view name) {
  std::string out;
  for (const char c : name) {
    if (c >= 'A' && c <= 'Z') out += {'_', static_cast<char>(c - 'A' + 'a')};
    else out += c;
  }
  return out;
}

std::vector<std::byte> build_arguments(capnp::StructSchema schema, const Node* args, const Place& place,
                                       const std::string& actor, std::vector<ActorReference>& references,
                                       Diagnostics& diagnostics) {
  capnp::MallocMessageBuilder message;
  const auto root = message.initRoot<capnp::DynamicStruct>(schema);
  Builder builder(actor, references, diagnostics);
  if (args) builder.fill_struct(root, *args);
  else
    builder.absent(root, place, [](const std::string&) { return false; });
  const auto words = capnp::messageToFlatArray(message);
  const auto bytes = words.asBytes();
  std::vector<std::byte> flat(bytes.size());
  std::memcpy(flat.data(), bytes.begin(), bytes.size());
  return flat;
}

std::string Argument::describe() const {
  return fmt::format("{}: {}{}", name, type, required ? ", required" : standard.empty() ? "" : ", default " + standard);
}

std::vector<Argument> describe_arguments(capnp::StructSchema schema) {
  std::vector<Argument> arguments;
  for (auto field : schema.getFields()) {
    const bool required = annotated(field, kRequired);
    arguments.push_back({name_of(field), type_name(field), required ? "" : default_of(schema, field), required});
  }
  return arguments;
}

}  // namespace troupe::topology
