#pragma once

#include <capnp/message.h>
#include <capnp/schema.h>
#include <capnp/serialize.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <stdexcept>
#include <string_view>
#include <utility>

#include <troupe/value_text.h>

namespace troupe {

class Connection;

namespace detail {

struct HeldBlock;  // framework/handles/blocks_part.h

std::span<std::byte> bytes_of(const HeldBlock& block);
// Of what lies in it, once that is known.
void label(HeldBlock& block, std::size_t size, std::uint64_t type);
[[nodiscard]] std::uint64_t type_of(const HeldBlock& block);
[[noreturn]] void throw_other_message(std::string_view expected, std::uint64_t got);

}  // namespace detail

// Bytes that go over a pipe without being copied: both sides see the same memory, and only the news of it travels.
//
//     auto [ours, theirs] = troupe::Pipe({.block_bytes = std::size_t{1} << 30});
//     troupe::Block picture = ours.make_block(width * height * 4);
//     paint(picture.bytes());
//     ours.send(picture);                            // there: theirs.recv<troupe::Block>().bytes()
//
// It is there as long as any process holds it, or it is on its way; it may be sent as often as one likes, in either direction, but only over
// the pipe it was made for. What a process held that ends or is killed is let go; what is under way to an end that nobody holds any more, too.
//
// Whoever holds it can write to it, also while others read: this is for processes that trust each other. All others send values.
//
// Threads: a value; its bytes as a C array.
class Block {
 public:
  [[nodiscard]] std::size_t size() const { return bytes_.size(); }
  [[nodiscard]] std::span<std::byte> bytes() const { return bytes_; }

 private:
  friend class Connection;
  template <class T>
  friend class SharedMessage;
  explicit Block(std::shared_ptr<detail::HeldBlock> held) : held_(std::move(held)), bytes_(detail::bytes_of(*held_)) {}

  std::shared_ptr<detail::HeldBlock> held_;
  std::span<std::byte> bytes_;
};

// A Cap'n Proto message that is built in a Block and read where it lies, however large it is.
//
//     auto scene = ours.build<Scene>(std::size_t{4} << 20, [&](Scene::Builder builder) { … });
//     ours.send(scene);                              // there: theirs.recv<troupe::SharedMessage<Scene>>()->getPoints()
//
// All that holds for a Block holds for it. Its reader is told the truth by whoever built it, or nonsense.
//
// Threads: a value; different copies may be read by different threads at the same time.
template <class T>
class SharedMessage {
 public:
  typename T::Reader operator*() const { return kept_->root; }
  const typename T::Reader* operator->() const { return &kept_->root; }
  // One segment of Cap'n Proto.
  [[nodiscard]] std::span<const std::byte> bytes() const { return kept_->block.bytes(); }

 private:
  friend class Connection;
  struct Kept {
    explicit Kept(Block from)
        : block(std::move(from)),
          segment(reinterpret_cast<const capnp::word*>(block.bytes().data()), block.size() / sizeof(capnp::word)),
          // Read by its holders as often as they like.
          reader(kj::arrayPtr(&segment, 1), {~std::uint64_t{0} >> 4, 64}),
          root(reader.template getRoot<T>()) {}
    ~Kept() noexcept {}
    Block block;
    kj::ArrayPtr<const capnp::word> segment;
    capnp::SegmentArrayMessageReader reader;
    typename T::Reader root;
  };
  explicit SharedMessage(Block block) : kept_(std::make_shared<const Kept>(std::move(block))) {
    const auto type = detail::type_of(*kept_->block.held_);
    if (type != capnp::typeId<T>()) detail::throw_other_message(wire::StructName<T>::text(), type);
  }

  std::shared_ptr<const Kept> kept_;
};

namespace detail {

// One segment, in memory that is given and zeroed.
class BlockBuilder final : public capnp::MessageBuilder {
 public:
  explicit BlockBuilder(std::span<std::byte> room) : room_(room) {}
  ~BlockBuilder() noexcept {}
  KJ_DISALLOW_COPY(BlockBuilder);
  kj::ArrayPtr<capnp::word> allocateSegment(capnp::uint) override {
    if (room_.empty()) throw std::length_error("a message is larger than was said when it was begun");
    const auto room = std::exchange(room_, {});
    return {reinterpret_cast<capnp::word*>(room.data()), room.size() / sizeof(capnp::word)};
  }

 private:
  std::span<std::byte> room_;
};

template <class T>
inline constexpr bool is_block = false;
template <>
inline constexpr bool is_block<Block> = true;
template <class T>
inline constexpr bool is_block<SharedMessage<T>> = true;

}  // namespace detail

}  // namespace troupe
