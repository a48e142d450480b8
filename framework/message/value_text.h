#pragma once

#include <capnp/dynamic.h>
#include <capnp/schema.h>
#include <troupe/value.h>

#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <string>

namespace troupe::message {

// The schema of a message by its id, if it is known.
using FindSchema = std::function<std::optional<capnp::StructSchema>(std::uint64_t id)>;

// values_to_text(), with messages among the values shown by their schemas.
std::string value_text(std::span<const std::byte> bytes, std::size_t characters_max, const FindSchema& find);

// A message as Cap'n Proto shows it, but with the values in its fields of type Value readable: `(id = 3, value = (1, "two"))`.
std::string dynamic_text(capnp::DynamicStruct::Reader message);

}  // namespace troupe::message
