#pragma once

#include <capnp/common.h>

#include <span>

namespace troupe::message {

// Follows every pointer of a Cap'n Proto message of one segment: all lead to structs and lists that lie inside, not deeper than 32
// and together not larger than detail::reader_options() allows. Afterwards capnp::readMessageUnchecked() is safe, which is six times
// as fast as a capnp::MessageReader. Throws ProtocolError. The words must be in memory that nobody else can write.
//
// Pointers to other segments and capabilities have no place in such a message and are refused.
void check_tree(std::span<const capnp::word> words);

}  // namespace troupe::message
