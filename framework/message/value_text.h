#pragma once

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

}  // namespace troupe::message
