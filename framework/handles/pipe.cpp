#include <troupe/pipe.h>

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <exception>
#include <stdexcept>
#include <utility>

#include "handles/pipe_part.h"
#include "pipe/packets.h"

namespace troupe {

std::pair<Connection, Connection> Pipe(const PipeOptions& options) {
  auto [first, second] = detail::make_pipe(options);
  return {Connection(std::move(first)), Connection(std::move(second))};
}

std::size_t Connection::recv_bytes_into(std::span<std::byte> buffer) {
  auto& bytes = detail::frame_buffer().bytes;
  recv_bytes(bytes);
  if (bytes.size() > buffer.size()) throw BufferTooShort(std::exchange(bytes, {}));
  std::ranges::copy(bytes, buffer.begin());
  return bytes.size();
}

namespace detail {

std::pair<std::shared_ptr<PipePart>, std::shared_ptr<PipePart>> make_pipe(const PipeOptions& options) {
  if (!ring::is_capacity(options.ring_bytes) || options.ring_bytes < 1024)
    throw std::invalid_argument("ring_bytes of a pipe: a power of two from 1 KiB to 1 GiB");
  if (options.block_bytes > pipe::kBlockBytesMax) throw std::invalid_argument("block_bytes of a pipe: 64 TiB at most");
  const bool over_sockets = options.transport == PipeTransport::socket;
  if (over_sockets && options.block_bytes != 0) throw std::invalid_argument("block_bytes of a pipe: only over rings");
  const pipe::PipeShape shape{
      .ring_capacity = options.ring_bytes, .duplex = options.duplex, .block_bytes = options.block_bytes, .over_sockets = over_sockets};
  const std::size_t size = pipe::memory_size(shape), control = pipe::control_size(shape);
  os::Descriptor memory = os::make_sparse_memory("troupe:pipe", size);
  os::allocate(memory, 0, control);
  const os::Mapping mapping(memory, control);
  pipe::format(mapping.bytes(), shape);
  std::shared_ptr<BlocksPart> blocks;
  if (shape.block_bytes != 0) {
    blocks = program::SharedThing::create<BlocksPart>(process::ThingKind::blocks, memory.duplicate());
    pipe::header_of(mapping.bytes()).blocks.store(blocks->id(), std::memory_order_relaxed);
  }
  os::Descriptor same = memory.duplicate();
  auto sockets = over_sockets ? pipe::make_sockets(options.ring_bytes) : std::pair<os::Descriptor, os::Descriptor>();
  auto first = program::SharedThing::create<PipePart>(process::ThingKind::first_end, std::move(memory), 0, std::move(sockets.first));
  auto second =
      program::SharedThing::create<PipePart>(process::ThingKind::second_end, std::move(same), first->id(), std::move(sockets.second));
  return {std::move(first), std::move(second)};
}

std::shared_ptr<PipePart> open_pipe(std::uint64_t id, const Attachments& attachments) {
  attachments.arrived.push_back(id);
  auto part = program::SharedThing::open<PipePart>(id);
  if (part->blocks()) attachments.arrived.push_back(part->blocks()->id());
  return part;
}

std::uint64_t attach(const PipePart& end, Attachments& attachments) {
  end.check_here();
  attachments.handles.push_back(end.id());
  if (end.blocks()) attachments.handles.push_back(end.blocks()->id());
  return end.id();
}

bool can_send(const PipePart& part) { return part.end.sends(); }
bool can_receive(const PipePart& part) { return part.end.receives(); }

namespace {

void send(PipePart& part, std::span<const std::byte> bytes, std::size_t attached) {
  part.check_here();
  if (!part.end.sends()) [[unlikely]]
    throw std::logic_error("this end of the pipe only receives");
  if (!part.end.send(bytes, attached)) [[unlikely]]
    throw BrokenPipe();
}

}  // namespace

void send(PipePart& part, std::span<const std::byte> bytes) {
  if (!part.end.send_at_once(bytes)) [[unlikely]]
    send(part, bytes, 0);
}

// Root keeps what they stand for until they have arrived, or nobody can receive them any more.
void send(PipePart& part, std::vector<std::byte>& bytes, const std::vector<std::uint64_t>& handles) {
  const auto ids = std::as_bytes(std::span(handles));
  bytes.insert(bytes.end(), ids.begin(), ids.end());
  auto* client = process::Client::here();
  if (client) client->keep_things(part.peer(), handles);
  try {
    send(part, bytes, handles.size());
  } catch (...) {
    if (client) client->unkeep_things(part.peer(), handles);
    throw;
  }
}

namespace {

// They stand behind the bytes.
std::vector<std::uint64_t> take_handles(std::vector<std::byte>& bytes, std::size_t count) {
  const std::size_t size = count * sizeof(std::uint64_t);
  if (size > bytes.size()) throw ProtocolError("a pipe's peer sent fewer bytes than handles");
  std::vector<std::uint64_t> handles(count);
  std::memcpy(handles.data(), bytes.data() + (bytes.size() - size), size);
  bytes.resize(bytes.size() - size);
  return handles;
}

// What most frames are.
[[gnu::always_inline]] inline bool receive_at_once(PipePart& part, std::vector<std::byte>& bytes) {
  if (!part.end.receive_at_once(bytes)) [[unlikely]]
    return false;
  part.settle_bell();
  return true;
}

// False if it was late.
bool receive(PipePart& part, std::vector<std::byte>& bytes, pipe::Extra& extra, Clock::time_point deadline) {
  part.check_here();
  if (!part.end.receives()) throw std::logic_error("this end of the pipe only sends");
  const auto received = part.end.receive(bytes, extra, deadline);
  part.settle_bell();
  if (received == pipe::End::Received::ended) throw EndOfFile();
  return received == pipe::End::Received::frame;
}

void refuse_block(const pipe::Extra& extra) {
  if (extra.block) throw TypeMismatch("a value", "a block of shared memory");
}

}  // namespace

namespace {

[[gnu::noinline]] bool receive_otherwise(PipePart& part, PipeFrame& frame, Clock::time_point deadline) {
  pipe::Extra extra;
  if (!receive(part, frame.bytes, extra, deadline)) return false;
  refuse_block(extra);
  if (extra.attached != 0) frame.handles = take_handles(frame.bytes, extra.attached);
  return true;
}

[[gnu::noinline]] bool receive_otherwise(PipePart& part, std::vector<std::byte>& bytes, Clock::time_point deadline) {
  pipe::Extra extra;
  if (!receive(part, bytes, extra, deadline)) return false;
  refuse_block(extra);
  if (extra.attached != 0) arrived(part, take_handles(bytes, extra.attached));
  return true;
}

}  // namespace

bool receive(PipePart& part, PipeFrame& frame, Clock::time_point deadline) {
  frame.handles.clear();
  return receive_at_once(part, frame.bytes) || receive_otherwise(part, frame, deadline);
}

bool receive_bytes(PipePart& part, std::vector<std::byte>& bytes, Clock::time_point deadline) {
  return receive_at_once(part, bytes) || receive_otherwise(part, bytes, deadline);
}

// Blocks.

std::shared_ptr<HeldBlock> make_block(PipePart& part, std::size_t size, bool zeroed) {
  part.check_here();
  if (!part.blocks()) throw std::logic_error("no blocks go over this pipe: make it with block_bytes");
  return std::make_shared<HeldBlock>(HeldBlock{part.blocks(), std::move(*part.blocks()->blocks.make(size, zeroed))});
}

void send(PipePart& part, const HeldBlock& block) {
  part.check_here();
  if (!part.end.sends()) throw std::logic_error("this end of the pipe only receives");
  if (!part.end.send(block.hold)) throw BrokenPipe();
}

std::shared_ptr<HeldBlock> receive_block(PipePart& part, Clock::time_point deadline) {
  std::vector<std::byte> bytes;
  pipe::Extra extra;
  if (!receive(part, bytes, extra, deadline)) return nullptr;
  if (!extra.block) {
    if (extra.attached != 0) arrived(part, take_handles(bytes, extra.attached));
    throw TypeMismatch("a block of shared memory", "a value");
  }
  return std::make_shared<HeldBlock>(HeldBlock{part.blocks(), std::move(extra.block)});
}

std::span<std::byte> bytes_of(const HeldBlock& block) { return block.hold.bytes(); }
void label(HeldBlock& block, std::size_t size, std::uint64_t type) { block.hold.set(size, type); }
std::uint64_t type_of(const HeldBlock& block) { return block.hold.what().type; }
void throw_other_message(std::string_view expected, std::uint64_t got) {
  throw TypeMismatch(fmt::format("message<{}>", expected),
                     got == 0 ? "a block of plain bytes" : fmt::format("a message of the schema @0x{:x}", got));
}

void arrived(PipePart& part, const std::vector<std::uint64_t>& handles) noexcept {
  try {
    if (auto* client = process::Client::here()) client->unkeep_things(part.id(), handles);
  } catch (const std::exception&) {  // then root keeps them as long as this end is there
  }
}

bool poll(PipePart& part, Clock::time_point deadline) {
  part.check_here();
  if (!part.end.receives()) throw std::logic_error("this end of the pipe only sends");
  const bool ready = part.end.poll(deadline);
  if (!ready) part.settle_bell();
  return ready;
}

int descriptor_of(PipePart& part) {
  part.check_here();
  if (!part.end.receives()) throw std::logic_error("this end of the pipe only sends");
  return part.end.socket() >= 0 ? part.end.socket() : part.bell().descriptor();
}

PipeFrame& frame_buffer() {
  constexpr std::size_t kKept = std::size_t{4} << 20;
  thread_local PipeFrame frame;
  if (frame.bytes.capacity() > kKept) frame.bytes = {};
  return frame;
}

}  // namespace detail

}  // namespace troupe
