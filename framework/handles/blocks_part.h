#pragma once

#include <memory>

#include <troupe/errors.h>

#include "os/memory.h"
#include "pipe/blocks.h"
#include "program/shared_thing.h"

namespace troupe::detail {

// The blocks of a pipe as one process uses them: a thing of its own, so that who holds a block need not hold an end.
//
// Threads: any.
class BlocksPart final : public program::SharedThing {
 public:
  BlocksPart(process::ThingId id, process::ThingAccess access)
      : SharedThing(id, std::move(access)), memory_(map(memory())), blocks(memory_.bytes(), &memory(), slot()) {}

 private:
  static os::Mapping map(const os::Descriptor& memory) {
    const auto size = os::shared_memory_size(memory);
    if (!size) throw ProtocolError("a handle of what is no shared memory");
    return {memory, *size};
  }
  os::Mapping memory_;

 public:
  pipe::Blocks blocks;
};

struct HeldBlock {
  std::shared_ptr<BlocksPart> part;
  pipe::BlockHold hold;
};

}  // namespace troupe::detail
