// Rooms: ring, transport. A peer that writes anything into a ring's shared bytes, at any moment, or into a pipe: the other side
// may say ProtocolError, and must not touch a byte outside of what it shares, or take memory for what was only announced.
#include <fuzzer/FuzzedDataProvider.h>

#include <cstring>
#include <memory>
#include <new>

#include <troupe/errors.h>

#include "os/memory.h"
#include "os/socket.h"
#include "ring/ring_reader.h"
#include "ring/ring_writer.h"
#include "transport/link.h"
#include "transport/pipe_transport.h"

using namespace troupe;

namespace {

// A block of exactly this size, so that ASan guards its ends.
struct Block {
  explicit Block(std::size_t size)
      : bytes(static_cast<std::byte*>(::operator new (size, std::align_val_t{ring::kLine})), size) {}
  ~Block() { ::operator delete (bytes.data(), std::align_val_t{ring::kLine}); }
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;
  std::span<std::byte> bytes;
};

volatile unsigned touched;  // every byte shown is read
void touch(std::span<const std::byte> bytes) {
  unsigned sum = 0;
  for (const std::byte byte : bytes) sum += static_cast<unsigned>(byte);
  touched = sum;
}

// Writes a word where it may hurt: into the indices or at a place in the frames.
void scribble(std::span<std::byte> memory, FuzzedDataProvider& input) {
  const std::size_t words = memory.size() / 8;
  const std::size_t word = input.ConsumeBool() ? 16 * input.ConsumeIntegralInRange<std::size_t>(0, 4)
                                               : input.ConsumeIntegralInRange<std::size_t>(0, words - 1);
  const auto value = input.ConsumeBool()
                         ? input.ConsumeIntegral<std::uint64_t>()
                         : ring::record_word(input.ConsumeIntegral<std::uint16_t>(), input.ConsumeIntegral<std::uint16_t>(),
                                             input.ConsumeBool() ? ring::RecordKind::frame : ring::RecordKind::pad);
  std::memcpy(memory.data() + word * 8, &value, sizeof value);
}

void fuzz_ring(FuzzedDataProvider& input) {
  Block block(ring::ring_memory_size(std::size_t{64} << input.ConsumeIntegralInRange(0, 4)));
  ring::format_ring(block.bytes);
  const auto start = input.ConsumeBytes<std::uint8_t>(input.ConsumeIntegralInRange<std::size_t>(0, block.bytes.size()));
  if (!start.empty() && input.ConsumeBool()) std::memcpy(block.bytes.data(), start.data(), start.size());
  std::unique_ptr<ring::RingReader> reader;
  std::unique_ptr<ring::RingWriter> writer;
  while (input.remaining_bytes() > 0) {
    try {
      switch (input.ConsumeIntegralInRange(0, 4)) {
        case 0:
          if (!reader) reader = std::make_unique<ring::RingReader>(block.bytes);
          if (const auto* frame = reader->peek()) touch(frame->bytes());
          break;
        case 1:
          if (reader) reader->release();
          break;
        case 2: {
          if (!writer) writer = std::make_unique<ring::RingWriter>(block.bytes);
          const auto size = input.ConsumeIntegralInRange<std::size_t>(0, writer->frame_size_max());
          if (writer->claim(size)) writer->commit(size, input.ConsumeIntegral<std::uint16_t>());
          if (input.ConsumeBool()) writer->publish();
          break;
        }
        default: scribble(block.bytes, input);
      }
    } catch (const ProtocolError&) {
    }
  }
}

void use(transport::Transport& link, FuzzedDataProvider& input) {
  try {
    switch (input.ConsumeIntegralInRange(0, 3)) {
      case 0:
        while (const auto frame = link.peek()) {
          touch(*frame);
          if (input.ConsumeBool()) (void)link.take_descriptors();
          link.release();
        }
        break;
      case 1:
        if (auto* frame = link.claim(input.ConsumeIntegralInRange<std::size_t>(1, 6000))) {
          *frame = std::byte{1};
          link.commit(1);
        }
        break;
      case 2: link.flush(); break;
      default:
        if (link.arm()) link.disarm();
    }
  } catch (const ProtocolError&) {
  }
}

// The peer commits records of its own making, and scribbles.
void fuzz_ring_link(FuzzedDataProvider& input) {
  constexpr std::size_t kRing = 4096;
  auto link = transport::make_link({.ring_bytes = kRing, .frame_size_max = 1 << 16});
  const os::Mapping memory(link.theirs[0], 2 * ring::ring_memory_size(kRing));
  ring::RingWriter forger(memory.bytes().last(ring::ring_memory_size(kRing)));
  while (input.remaining_bytes() > 0) {
    try {
      if (input.ConsumeBool()) {
        const auto bytes = input.ConsumeBytes<std::uint8_t>(input.ConsumeIntegralInRange<std::size_t>(0, 64));
        const std::size_t size = bytes.size() * (input.ConsumeBool() ? 1 : 20);
        if (auto* frame = forger.claim(size)) {
          if (!bytes.empty()) std::memcpy(frame, bytes.data(), bytes.size());
          constexpr std::uint16_t kTags[] = {0, 0x100, 0x300, 0x500, 0x700, 0x301, 1};
          forger.commit(size, input.ConsumeBool() ? input.PickValueInArray(kTags) : input.ConsumeIntegral<std::uint16_t>());
          forger.publish();
        }
        if (input.ConsumeIntegralInRange(0, 15) == 0) {
          const int fds[] = {0, 1};
          const auto number = input.ConsumeIntegralInRange<std::uint64_t>(0, 3);
          os::send_packet(link.theirs[3].get(), std::as_bytes(std::span(&number, 1)),
                          std::span(fds).first(input.ConsumeBool() ? 1 : 2));
        }
      } else if (input.ConsumeIntegralInRange(0, 7) == 0) {
        scribble(memory.bytes(), input);
      }
    } catch (const ProtocolError&) {
    }
    use(*link.ours, input);
  }
}

// The peer sends bytes, in pieces of any size, with descriptors now and then.
void fuzz_pipe(FuzzedDataProvider& input) {
  auto [peer, socket] = os::socket_pair(os::SocketKind::stream);
  transport::PipeTransport link(std::move(socket), 1 << 16);
  while (input.remaining_bytes() > 0) {
    auto bytes = input.ConsumeBytes<std::uint8_t>(input.ConsumeIntegralInRange<std::size_t>(1, 200));
    if (input.ConsumeBool() && bytes.size() >= 8)
      bytes[6] = 0x01, bytes[7] = 0x70, bytes[2] = bytes[3] = 0;  // a header's magic
    const int fds[] = {0, 1, 2};
    const std::size_t count = input.ConsumeIntegralInRange<std::size_t>(0, 12);
    os::send_bytes(peer.get(), std::as_bytes(std::span(bytes)), std::span(fds).first(count <= 3 ? count : 0));
    use(link, input);
  }
  peer.reset();
  for (int i = 0; i < 3 && !link.closed(); ++i) {
    try {
      while (link.peek()) link.release();
    } catch (const ProtocolError&) {
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  FuzzedDataProvider input(data, size);
  switch (input.ConsumeIntegralInRange(0, 2)) {
    case 0: fuzz_ring(input); break;
    case 1: fuzz_ring_link(input); break;
    default: fuzz_pipe(input);
  }
  return 0;
}
