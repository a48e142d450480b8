#pragma once

#include <capnp/schema.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <unordered_map>

namespace troupe::message {

// Shows frames as text, at run time: "request to 3.1 from 2.1 #7 Add (amount = 3)". A message of a schema that was not added is
// shown in hex.
//
//     Decoder decoder;
//     decoder.add(capnp::Schema::from<Add>());     // or one from a capnp::SchemaLoader, which must outlive the decoder
//     log(decoder.text(frame));
//
// Threads: confined to one thread at a time.
class Decoder {
 public:
  void add(capnp::StructSchema schema);

  // Never throws for what is in the frame: what cannot be read is said in the text.
  [[nodiscard]] std::string text(std::span<const std::byte> frame) const;

 private:
  std::unordered_map<std::uint64_t, capnp::StructSchema> schemas_;
};

}  // namespace troupe::message
