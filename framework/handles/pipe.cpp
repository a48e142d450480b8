#include <troupe/pipe.h>

#include <cstring>
#include <exception>
#include <stdexcept>

#include "handles/pipe_part.h"

namespace troupe {

std::pair<Connection, Connection> Pipe(const PipeOptions& options) {
  auto [first, second] = detail::make_pipe(options);
  return {Connection(std::move(first)), Connection(std::move(second))};
}

void Connection::recv_bytes(std::vector<std::byte>& bytes) {
  auto& frame = detail::frame_buffer();
  std::swap(frame.bytes, bytes);
  detail::receive(end(), frame, Clock::time_point::max());
  std::swap(frame.bytes, bytes);
  if (!frame.handles.empty()) detail::arrived(end(), frame);
}

namespace detail {

std::pair<std::shared_ptr<PipePart>, std::shared_ptr<PipePart>> make_pipe(const PipeOptions& options) {
  if (!ring::is_capacity(options.ring_bytes) || options.ring_bytes < 1024)
    throw std::invalid_argument("ring_bytes of a pipe: a power of two from 1 KiB to 1 GiB");
  const pipe::PipeShape shape{.ring_capacity = options.ring_bytes, .duplex = options.duplex};
  const std::size_t size = pipe::memory_size(shape);
  os::Descriptor memory = os::make_shared_memory("troupe:pipe", size);
  pipe::format(os::Mapping(memory, size).bytes(), shape);
  os::Descriptor same = memory.duplicate();
  auto first = program::SharedThing::create<PipePart>(process::ThingKind::first_end, std::move(memory));
  auto second = program::SharedThing::create<PipePart>(process::ThingKind::second_end, std::move(same), first->id());
  return {std::move(first), std::move(second)};
}

std::shared_ptr<PipePart> open_pipe(std::uint64_t id) { return program::SharedThing::open<PipePart>(id); }

std::uint64_t attach(const PipePart& end, Attachments& attachments) {
  attachments.handles.push_back(end.id());
  return end.id();
}

bool can_send(const PipePart& part) { return part.end.sends(); }
bool can_receive(const PipePart& part) { return part.end.receives(); }

namespace {

void send(PipePart& part, std::span<const std::byte> bytes, std::size_t attached) {
  if (!part.end.sends()) [[unlikely]]
    throw std::logic_error("this end of the pipe only receives");
  if (!part.end.send(bytes, attached)) [[unlikely]]
    throw BrokenPipe();
}

}  // namespace

void send(PipePart& part, std::span<const std::byte> bytes) { send(part, bytes, 0); }

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

bool receive(PipePart& part, PipeFrame& frame, Clock::time_point deadline) {
  if (!part.end.receives()) [[unlikely]]
    throw std::logic_error("this end of the pipe only sends");
  pipe::Frame came{.bytes = std::move(frame.bytes)};
  const auto received = part.end.receive(came, deadline);
  frame.bytes = std::move(came.bytes);
  frame.handles.clear();
  part.settle_bell();
  if (received == pipe::End::Received::ended) throw EndOfFile();
  if (received == pipe::End::Received::late) return false;
  if (came.attached == 0) [[likely]]
    return true;
  const std::size_t size = came.attached * sizeof(std::uint64_t);
  if (size > frame.bytes.size()) throw ProtocolError("a pipe's peer sent fewer bytes than handles");
  frame.handles.resize(came.attached);
  std::memcpy(frame.handles.data(), frame.bytes.data() + (frame.bytes.size() - size), size);
  frame.bytes.resize(frame.bytes.size() - size);
  return true;
}

void arrived(PipePart& part, const PipeFrame& frame) noexcept {
  try {
    if (auto* client = process::Client::here()) client->unkeep_things(part.id(), frame.handles);
  } catch (const std::exception&) {  // then root keeps them as long as this end is there
  }
}

bool poll(PipePart& part, Clock::time_point deadline) {
  if (!part.end.receives()) throw std::logic_error("this end of the pipe only sends");
  const bool ready = part.end.poll(deadline);
  if (!ready) part.settle_bell();
  return ready;
}

int descriptor_of(PipePart& part) {
  if (!part.end.receives()) throw std::logic_error("this end of the pipe only sends");
  return part.bell().descriptor();
}

PipeFrame& frame_buffer() {
  constexpr std::size_t kKept = std::size_t{4} << 20;
  thread_local PipeFrame frame;
  if (frame.bytes.capacity() > kKept) frame.bytes = {};
  return frame;
}

}  // namespace detail

}  // namespace troupe
