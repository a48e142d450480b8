#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <troupe/block.h>
#include <troupe/duration.h>
#include <troupe/value.h>

namespace troupe {

class Waitable;  // wait.h

// Everything that was sent is received, and nobody holds the other end any more, as Python's EOFError.
class EndOfFile : public std::runtime_error {
 public:
  EndOfFile() : std::runtime_error("the other end of the pipe is closed, and there is nothing left to receive") {}
};
// Nobody holds the other end any more, who could receive what is sent, as Python's BrokenPipeError.
class BrokenPipe : public std::runtime_error {
 public:
  BrokenPipe() : std::runtime_error("the other end of the pipe is closed") {}
};

// What was received by recv_bytes_into() is larger than its buffer, and is here, whole, as Python's BufferTooShort.
class BufferTooShort : public std::runtime_error {
 public:
  explicit BufferTooShort(std::vector<std::byte> bytes)
      : std::runtime_error("a buffer is too short for the " + std::to_string(bytes.size()) + " bytes that were received"),
        bytes_(std::make_shared<const std::vector<std::byte>>(std::move(bytes))) {}
  [[nodiscard]] const std::vector<std::byte>& bytes() const { return *bytes_; }

 private:
  std::shared_ptr<const std::vector<std::byte>> bytes_;  // shared, so that copies of an exception do not throw
};

// What a pipe goes over. A ring in shared memory takes no system call where nobody sleeps. A socket is the kernel's, which keeps what is
// under way, takes a system call for each frame at each side, and has a real descriptor: see Connection::fileno(). All else is the
// same, but Blocks go over rings only.
enum class PipeTransport { ring, socket };

struct PipeOptions {
  bool duplex = true;                               // or: the first only receives, the second only sends
  std::size_t ring_bytes = std::size_t{256} << 10;  // of shared memory each way: a power of two, 1 KiB to 1 GiB;
                                                    // over a socket, of the kernel's, which may give less (net.core.wmem_max)
  std::size_t block_bytes = 0;                      // for all Blocks at a time (see block.h), 512 at most; only what is used takes memory
  PipeTransport transport = PipeTransport::ring;
};

namespace detail {

class PipePart;  // framework/handles/pipe_part.h

struct PipeFrame {
  std::vector<std::byte> bytes;
  std::vector<std::uint64_t> handles;
};

std::pair<std::shared_ptr<PipePart>, std::shared_ptr<PipePart>> make_pipe(const PipeOptions& options);
std::shared_ptr<PipePart> open_pipe(std::uint64_t id, const Attachments& attachments);
std::uint64_t attach(const PipePart& end, Attachments& attachments);

[[nodiscard]] bool can_send(const PipePart& end);
[[nodiscard]] bool can_receive(const PipePart& end);
// Throws BrokenPipe.
void send(PipePart& end, std::span<const std::byte> bytes);
// The handles stand behind the bytes.
void send(PipePart& end, std::vector<std::byte>& bytes, const std::vector<std::uint64_t>& handles);
// False if there was none in time. Throws EndOfFile.
bool receive(PipePart& end, PipeFrame& frame, Clock::time_point deadline);
bool receive_bytes(PipePart& end, std::vector<std::byte>& bytes, Clock::time_point deadline);
std::shared_ptr<HeldBlock> make_block(PipePart& end, std::size_t size, bool zeroed);
void send(PipePart& end, const HeldBlock& block);
// Null if there was none in time. Throws EndOfFile; TypeMismatch for what is no block.
std::shared_ptr<HeldBlock> receive_block(PipePart& end, Clock::time_point deadline);
// The handles that came with a frame are open now, or not wanted.
void arrived(PipePart& end, const std::vector<std::uint64_t>& handles) noexcept;
bool poll(PipePart& end, Clock::time_point deadline);
int descriptor_of(PipePart& end);
// Of this thread: keeps its memory from one frame to the next.
PipeFrame& frame_buffer();

}  // namespace detail

// One end of a pipe, as Python's multiprocessing.connection.Connection. A handle: argument of a Process, item of a queue, field of a
// value, also of one that is sent over a pipe. Copies are the same end; so are those in other processes.
//
//     auto [ours, theirs] = troupe::Pipe();
//     troupe::Process child(answer, theirs);   // theirs.recv<int>(); …; theirs.send("done");
//     child.start();
//     theirs.close();                          // now only the child holds it: its death is our end of file
//     ours.send(42);
//     std::cout << ours.recv<std::string>() << '\n';
//
// What holds: values arrive whole, in order, each once, whatever is killed. An end is closed when no process holds it any more: all have
// closed it, or ended, or been killed. Then the other side receives what is left, and after that EndOfFile; to send is BrokenPipe. This
// comes at once (root sees to it), also to those who are blocked. As in Python, whoever made the pipe holds both ends: close the one you
// gave away. An end that lies in another pipe, a queue or a message is held until it has arrived.
//
// Processes that share an end take turns: a value goes to one of them. The value in the hand of one that is killed while it receives is
// received by another, or lost with it. One that is killed while it sends has sent the whole value, or nothing of it.
//
// All throw std::logic_error on a closed Connection, and where this end cannot do that; ProtocolError when a process has overwritten
// the shared memory; over a socket, SystemError when the kernel has no memory for a frame.
//
// Threads: any; one at a time sends and one at a time receives. close() is for this object alone.
class Connection {
 public:
  // Waits for room. Throws BrokenPipe; std::length_error for more than 4 GiB.
  template <class T>
  void send(const T& value) {
    wire::check_encodable<T>();
    auto& bytes = detail::frame_buffer().bytes;
    bytes.resize(encoded_size(value));
    Attachments attachments;
    encode_to(bytes, &attachments, value);
    if (attachments.handles.empty()) [[likely]]
      return detail::send(end(), bytes);
    detail::send(end(), bytes, attachments.handles);
  }
  // Waits for a value. Throws EndOfFile; TypeMismatch for one of another type, which is gone then.
  template <class T>
  T recv() {
    return *receive<T>(Clock::time_point::max());
  }
  // Nothing if none came in time. Throws as recv().
  template <class T>
  std::optional<T> try_recv(Duration timeout = Duration::zero()) {
    return receive<T>(deadline_within(timeout));
  }

  // The same for bytes as they are: what was sent by send_bytes() is for recv_bytes().
  void send_bytes(std::span<const std::byte> bytes) { detail::send(end(), bytes); }
  void send_bytes(std::string_view bytes) { send_bytes(std::as_bytes(std::span(bytes))); }
  std::vector<std::byte> recv_bytes() {
    std::vector<std::byte> bytes;
    recv_bytes(bytes);
    return bytes;
  }
  // Into `bytes`, whose memory is used again.
  void recv_bytes(std::vector<std::byte>& bytes) { detail::receive_bytes(end(), bytes, Clock::time_point::max()); }
  // Into the beginning of `buffer`: how many. Throws BufferTooShort, which has them, where they do not fit.
  std::size_t recv_bytes_into(std::span<std::byte> buffer);
  // Nothing if none came in time.
  std::optional<std::vector<std::byte>> try_recv_bytes(Duration timeout = Duration::zero()) {
    std::vector<std::byte> bytes;
    if (!detail::receive_bytes(end(), bytes, deadline_within(timeout))) return {};
    return bytes;
  }

  // Memory for what is to go over this pipe without being copied, see block.h; then send() and recv() it as any value. It waits until there
  // is so much room among block_bytes: others have to let go of theirs. It may show what older blocks left. Throws std::logic_error where no
  // block_bytes were asked for, std::length_error for more than them, SystemError when there is no memory.
  [[nodiscard]] Block make_block(std::size_t size) { return Block(detail::make_block(end(), size, false)); }
  void send(const Block& block) { detail::send(end(), *block.held_); }

  // The same for a message, which `fill` builds in place. It may take `size` bytes at most, else std::length_error.
  template <class T, class Fill>
    requires std::is_invocable_v<Fill, typename T::Builder>
  [[nodiscard]] SharedMessage<T> build(std::size_t size, Fill&& fill) {
    auto held = detail::make_block(end(), (size + 15) / 8 * 8, true);  // with a word for its root
    {
      detail::BlockBuilder builder(detail::bytes_of(*held));
      fill(builder.template initRoot<T>());
      detail::label(*held, builder.getSegmentsForOutput()[0].size() * sizeof(capnp::word), capnp::typeId<T>());
    }
    return SharedMessage<T>(Block(std::move(held)));
  }
  template <class T>
  void send(const SharedMessage<T>& message) {
    send(message.kept_->block);
  }

  // Something can be received, or the file has ended, within `timeout`. Where processes share the other end and one is killed in the midst of
  // a large value, a recv() after it may have to wait for the next value (Python's waits for the rest, which does not come); a try_recv()
  // has nothing then.
  [[nodiscard]] bool poll(Duration timeout = Duration::zero()) {
    return detail::poll(end(), deadline_within(timeout));
  }

  // This object is not to be used any more. The end is closed when no other one is left, here or elsewhere.
  void close() { part_.reset(); }
  [[nodiscard]] bool closed() const { return !part_; }
  [[nodiscard]] bool readable() const { return detail::can_receive(end()); }
  [[nodiscard]] bool writable() const { return detail::can_send(end()); }

  // A descriptor for poll(), epoll and their like, readable while poll() is true; only for that. It is good as long as this end is used
  // here. Over a socket it is the pipe's own. Over a ring the first call starts a thread that rings it; to wait for a few things without
  // one, see wait.h. Where other processes hold this end, or one of the senders may be killed, it may be readable for nothing: look with
  // try_recv(). Throws SystemError when there is no descriptor or thread left.
  [[nodiscard]] int fileno() const { return detail::descriptor_of(end()); }

 private:
  friend struct Codec<Connection>;
  friend class Waitable;
  friend std::pair<Connection, Connection> Pipe(const PipeOptions& options);
  explicit Connection(std::shared_ptr<detail::PipePart> part) : part_(std::move(part)) {}

  [[nodiscard]] detail::PipePart& end() const {
    if (part_) [[likely]]
      return *part_;
    throw std::logic_error("this Connection is closed");
  }
  static Clock::time_point deadline_within(Duration timeout) {
    return timeout <= Duration::zero() ? Clock::time_point::min() : deadline_after(timeout);
  }
  template <class T>
  std::optional<T> receive(Clock::time_point deadline) {
    auto& end = this->end();
    if constexpr (detail::is_block<T>) {
      auto held = detail::receive_block(end, deadline);
      if (!held) return {};
      return T(Block(std::move(held)));
    } else {
      return receive_value<T>(end, deadline);
    }
  }
  template <class T>
  static std::optional<T> receive_value(detail::PipePart& end, Clock::time_point deadline) {
    wire::check_receivable<T>();
    auto& frame = detail::frame_buffer();
    if (!detail::receive(end, frame, deadline)) return {};
    if (frame.handles.empty()) [[likely]]
      return decode_value<T>(frame.bytes);
    const Arrival arrival{end, std::exchange(frame, {})};
    const Attachments attachments{.handles = arrival.frame.handles, .descriptors = {}};
    return decode_value<T>(arrival.frame.bytes, &attachments);
  }
  struct Arrival {
    detail::PipePart& end;
    detail::PipeFrame frame;
    ~Arrival() { detail::arrived(end, frame.handles); }
  };

  std::shared_ptr<detail::PipePart> part_;
};

// Two ends of a new pipe: what one sends the other receives. With duplex = false the first only receives and the second only sends.
// Throws SystemError when there is no memory or no descriptor, std::invalid_argument for other ring_bytes, or for block_bytes over a
// socket, std::logic_error where there is no Program.
[[nodiscard]] std::pair<Connection, Connection> Pipe(const PipeOptions& options);
[[nodiscard]] inline std::pair<Connection, Connection> Pipe(bool duplex = true) { return Pipe(PipeOptions{.duplex = duplex}); }

template <>
struct Codec<Connection> {
  static constexpr std::string_view name = "connection";
  using Wire = std::uint64_t;
  static Wire pack(const Connection& connection, Attachments& attachments) {
    return detail::attach(connection.end(), attachments);
  }
  static Connection unpack(Wire id, const Attachments& attachments) {
    return Connection(detail::open_pipe(id, attachments));
  }
};

}  // namespace troupe
