#pragma once

#include <capnp/message.h>
#include <capnp/serialize.h>

#include <array>
#include <cstddef>
#include <cstring>
#include <span>
#include <vector>

#include <troupe/address.h>
#include <troupe/death.h>
#include <troupe/errors.h>

#include "message/death_record.h"
#include "os/descriptor.h"
#include "process/client.h"
#include "process/control.capnp.h"
#include "transport/link.h"

namespace troupe::process {

// A buffer that any packet fits into: what the kernel lets through by default is smaller.
inline constexpr std::size_t kPacketSizeMax = 256 * 1024;
// The same for what root says: no notice holds more than a death.
inline constexpr std::size_t kNoticeSizeMax = 16 * 1024;
static_assert(message::kDeathSizeMax + 1024 < kNoticeSizeMax);
// Arguments larger than this travel in a memfd beside the packet.
inline constexpr std::size_t kInlineArgumentsMax = 96 * 1024;

// A control message being built; small ones need no heap.
//
//     Outgoing<control::Request> request;
//     request->setReady();
//     send_packet(socket, request.bytes());
//
// Threads: a value.
template <class Message>
class Outgoing {
 public:
  Outgoing() : builder_(kj::arrayPtr(words_.data() + 1, words_.size() - 1)), root_(builder_.initRoot<Message>()) {}

  typename Message::Builder* operator->() { return &root_; }

  // As it goes over the socket; valid as long as this object, and until the next change.
  [[nodiscard]] std::span<const std::byte> bytes() {
    const auto segments = builder_.getSegmentsForOutput();
    if (segments.size() == 1 && segments[0].begin() == words_.data() + 1) {
      // The table of one segment, as messageToFlatArray() would write it, without the copy.
      const std::array<std::uint32_t, 2> table{0, static_cast<std::uint32_t>(segments[0].size())};
      std::memcpy(static_cast<void*>(words_.data()), table.data(), sizeof table);
      return std::as_bytes(std::span(words_.data(), segments[0].size() + 1));
    }
    flat_ = capnp::messageToFlatArray(builder_);
    return std::as_bytes(std::span(flat_.begin(), flat_.size()));
  }

 private:
  std::array<capnp::word, 96> words_{};
  capnp::MallocMessageBuilder builder_;
  typename Message::Builder root_;
  kj::Array<capnp::word> flat_;
};

// Calls use(reader) with the message in `packet`, which must be aligned to 8 bytes. Throws ProtocolError if it is none.
template <class Message, class Use>
void read_packet(std::span<const std::byte> packet, Use use) {
  try {
    capnp::ReaderOptions options;
    options.traversalLimitInWords = packet.size() / sizeof(capnp::word) * 4 + 128;
    options.nestingLimit = 8;
    capnp::FlatArrayMessageReader reader(
        kj::arrayPtr(reinterpret_cast<const capnp::word*>(packet.data()), packet.size() / sizeof(capnp::word)), options);
    use(reader.getRoot<Message>());
  } catch (const kj::Exception& error) {
    throw ProtocolError(std::string("malformed control message: ") + error.getDescription().cStr());
  }
}

// What is too long for a packet, in a memfd that nobody can change any more.
os::Descriptor write_sealed(std::span<const std::byte> bytes);
// What lies in such a memfd. Throws ProtocolError for anything else.
std::vector<std::byte> read_sealed(const os::Descriptor& memfd);

// Values between C++ and the schema. Reading throws ProtocolError for what is no such value.
void write(control::Limits::Builder to, const Limits& from);
Limits read(control::Limits::Reader from);
void write(control::LinkOptions::Builder to, const transport::LinkOptions& from);
transport::LinkOptions read(control::LinkOptions::Reader from);
// All of a start but the entry and the arguments.
void write(control::Start::Builder to, const ChildSpec& from);
ChildSpec read(control::Start::Reader from);

}  // namespace troupe::process
