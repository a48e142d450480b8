#pragma once

#include <atomic>
#include <cerrno>
#include <memory>
#include <mutex>

#include <troupe/errors.h>

#include "handles/bell.h"
#include "handles/blocks_part.h"
#include "os/check_call.h"
#include "os/memory.h"
#include "pipe/end.h"
#include "program/shared_thing.h"

namespace troupe::detail {

// An end of a pipe as one process uses it.
//
// Threads: any.
class PipePart final : public program::SharedThing {
 public:
  PipePart(process::ThingId id, process::ThingAccess access)
      : SharedThing(id, std::move(access)),
        memory_(map(memory())),
        side_(side_of(id)),
        blocks_(open_blocks()),
        end(memory_.bytes(), side_, slot(), blocks_ ? &blocks_->blocks : nullptr, needed_socket(), [this] { tell_broken(); }) {}

  // The other end's number, which root knows it by.
  [[nodiscard]] process::ThingId peer() const {
    return header().ends[pipe::index(other(side_))].load(std::memory_order_relaxed);
  }

  // Null if none go over this pipe.
  [[nodiscard]] const std::shared_ptr<BlocksPart>& blocks() const { return blocks_; }

  // Made when it is first asked for.
  [[nodiscard]] Bell& bell() {
    const std::scoped_lock lock(mutex_);
    if (!bell_) bell_ = std::make_unique<Bell>(end);
    has_bell_.store(true, std::memory_order_release);
    return *bell_;
  }
  // Something was received, or it was seen that there is nothing.
  void settle_bell() {
    if (has_bell_.load(std::memory_order_acquire)) [[unlikely]]
      bell_->settle();
  }

 private:
  static os::Mapping map(const os::Descriptor& memory) {
    const auto size = os::shared_memory_size(memory);
    if (!size || *size < pipe::kPipeHeaderSize) throw ProtocolError("a handle of what is no pipe");
    const os::Mapping header(memory, pipe::kPipeHeaderSize);
    const auto shape = pipe::shape_of(header.bytes());
    if (*size != pipe::memory_size(shape)) throw ProtocolError("a handle of what is no pipe");
    return {memory, pipe::control_size(shape)};
  }
  [[nodiscard]] int needed_socket() const {
    if (!socket() && header().over_sockets != 0) os::throw_error(EMFILE, "no descriptor left for the socket of a pipe");
    return socket().get();
  }
  std::shared_ptr<BlocksPart> open_blocks() {
    const auto id = header().blocks.load(std::memory_order_relaxed);
    return id == 0 ? nullptr : SharedThing::open<BlocksPart>(id);
  }
  [[nodiscard]] pipe::PipeHeader& header() const { return pipe::header_of(memory_.bytes()); }
  // Whoever makes a pipe makes the part of the first end, then that of the second, before anybody else has a handle of it.
  pipe::Side side_of(process::ThingId id) {
    for (const auto side : {pipe::Side::first, pipe::Side::second}) {
      auto& name = header().ends[pipe::index(side)];
      if (name.load(std::memory_order_relaxed) == 0) name.store(id, std::memory_order_relaxed);
      if (name.load(std::memory_order_relaxed) == id) return side;
    }
    throw ProtocolError("a handle of what is no end of a pipe");
  }

  os::Mapping memory_;
  pipe::Side side_;
  std::shared_ptr<BlocksPart> blocks_;

 public:
  pipe::End end;

 private:
  std::mutex mutex_;
  std::unique_ptr<Bell> bell_;
  std::atomic<bool> has_bell_{false};
};

}  // namespace troupe::detail
