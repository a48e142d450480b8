#include "pipe/end.h"

#include <poll.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include <troupe/errors.h>

#include "os/affinity.h"
#include "os/epoll.h"
#include "os/fence.h"
#include "os/futex.h"
#include "pipe/outlook.h"
#include "pipe/packets.h"
#include "pipe/recover.h"

namespace troupe::pipe {
namespace {

// A sender that gave up in the midst of a frame, for want of memory, may be killed before it nudges the receiver, or have no memory for
// that either.
constexpr Duration kNudgeTime = std::chrono::milliseconds(100);

// Room for pieces to come, which the sender only claims.
constexpr std::size_t kReserveMax = std::size_t{64} << 20;

void wake(HalfWord& epoch) {
  epoch.fetch_add(1, std::memory_order_seq_cst);
  os::futex_wake_all(epoch);
}

// With those who unlock it, which is no full fence where it is kept.
void fence_against(const shared::KeptLock& lock) {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (lock.is_kept()) os::heavy_fence();
}

void append(std::vector<std::byte>& bytes, std::span<const std::byte> more) {
  bytes.insert(bytes.end(), more.begin(), more.end());
}

std::size_t capacity_of(std::span<std::byte> memory) {
  const std::size_t capacity = header_of(memory).ring_capacity;
  if (!ring::is_capacity(capacity)) throw ProtocolError("not a pipe: its capacity is none");
  return capacity;
}

std::size_t record_max_of(std::span<std::byte> memory, int socket) {
  const std::size_t quarter = capacity_of(memory) / 4;
  return socket < 0 ? quarter : std::min(quarter, kPacketRecordMax);
}

bool may_send(std::span<std::byte> memory, Side side) { return side == Side::second || shape_of(memory).duplex; }

// The socket that belongs to this pipe, or none.
int checked(std::span<std::byte> memory, int socket) {
  if (!shape_of(memory).over_sockets) return -1;
  if (socket < 0) throw ProtocolError("a pipe over sockets, but no socket");
  return socket;
}

}  // namespace

End::End(std::span<std::byte> memory, Side side, shared::Slot slot, Blocks* blocks, int socket, std::function<void()> when_broken)
    : header_(&header_of(memory)),
      side_(side),
      socket_(checked(memory, socket)),
      record_max_(record_max_of(memory, socket_)),
      at_once_end_(socket_ < 0 ? std::min(kAtOnceEnd, record_max_) : 0),
      when_broken_(std::move(when_broken)),
      send_lock_(header_of(memory).ways[index(side)].send_lock, slot),
      receive_lock_(header_of(memory).ways[index(other(side))].receive_lock, slot),
      blocks_(blocks),
      out_{.way = &header_of(memory).ways[index(side)], .ring = ring_of(memory, side), .is_open = may_send(memory, side)},
      in_{.way = &header_of(memory).ways[index(other(side))],
          .ring = ring_of(memory, other(side)),
          .is_open = may_send(memory, other(side))} {
  if (socket_ >= 0) return;
  if (sends()) out_.header = ring::Ring(out_.ring).header;
  if (receives()) in_.header = ring::Ring(in_.ring).header;
}

template <class Work>
void End::guarded(const Work& work) {
  if (poisoned_.load(std::memory_order_relaxed)) throw_poisoned();
  try {
    work();
  } catch (const ProtocolError&) {
    found_broken();
    throw;
  }
}

void End::throw_poisoned() { throw ProtocolError("this pipe's shared memory was overwritten"); }

// All others are to know, also those who sleep.
void End::found_broken() {
  poisoned_.store(true, std::memory_order_relaxed);
  at_once_end_.store(0, std::memory_order_relaxed);
  break_for_good(*header_, socket_);
  if (blocks_) blocks_->break_for_good();
  if (when_broken_) when_broken_();
}

// For those who hold a lock while they sleep, and those who look without one.
bool End::is_broken() const {
  return poisoned_.load(std::memory_order_relaxed) || out_.way->send_lock.is_broken() || in_.way->receive_lock.is_broken();
}

void End::check_whole() const {
  if (is_broken()) throw_poisoned();
}

bool End::nothing_done(shared::KeptLock::User& lock) {
  lock.unlock(shared::KeptLock::User::Hold::kept);
  return false;
}

// Who is waited for on this CPU cannot run while we look.
template <class Happened>
bool End::happens_soon(shared::Patience& patience, Clock::time_point deadline, Happened happened) const {
  note_cpu();
  const auto theirs = header_->cpus[index(other(side_))].load(std::memory_order_relaxed);
  const bool elsewhere = theirs != 0 && theirs != header_->cpus[index(side_)].load(std::memory_order_relaxed);
  return elsewhere ? patience.sees(deadline, happened) : happened();
}

void End::note_cpu() const {
  const auto here = static_cast<std::uint32_t>(os::current_cpu() + 1);
  auto& noted = header_->cpus[index(side_)];
  if (noted.load(std::memory_order_relaxed) != here) noted.store(here, std::memory_order_relaxed);
}

// Sending.

// Another process may have written, or read, since we did: then its index is not where ours is. To look at it is to wait until the other
// side's CPU, which looks at it all the time, gives it back. Made before it takes the place of the old one: who keeps a lock has an index.
void End::take_writer(const shared::Held& held) {
  if (held.was_kept() && out_.index) return;
  if (!out_.index || out_.header->tail.load(std::memory_order_relaxed) != out_.index->published())
    out_.index = ring::RingWriter(out_.ring);
}

bool End::sent_at_once(bool is_wanted) {
  if (is_wanted) send_lock_.give_up();
  note_cpu();
  tell_receiver();
  return true;
}

bool End::send(std::span<const std::byte> bytes, std::size_t attached) {
  if (attached == 0 && send_at_once(bytes)) return true;
  if (bytes.size() > kFrameMax || attached > kAttachedMax)
    throw std::length_error("a pipe takes frames of at most 4 GiB, with at most 16,383 handles");
  const auto count = static_cast<std::uint16_t>(attached << kAttachedShift);
  bool sent = false;
  try {
    guarded([&] {
      const shared::Held held(send_lock_, Clock::time_point::max());
      if (socket_ < 0) take_writer(held);
      sent = bytes.size() < record_max() ? send_piece({}, bytes, count) : send_pieces(bytes, count);
    });
  } catch (const SystemError&) {  // the kernel's memory: who has pieces does not get the others
    if (socket_ >= 0) nudge(socket_);
    throw;
  }
  sent ? tell_receiver() : check_whole();
  return sent;
}

bool End::send(const BlockHold& block) {
  if (!block || !blocks_ || block.blocks() != blocks_) throw std::logic_error("a block goes over the pipe that it was made for");
  const BlockReference& what = block.what();
  bool sent = false;
  guarded([&] {
    const shared::Held held(send_lock_, Clock::time_point::max());
    take_writer(held);
    std::byte* room = claim(sizeof what);
    if (!room) return check_whole();
    std::memcpy(room, &what, sizeof what);
    ring::RingWriter& ring = *out_.index;
    ring.commit(sizeof what, static_cast<std::uint16_t>(Part::block));
    blocks_->sent(*out_.way, side_, what, ring.committed(), [&] { ring.publish(); });
    note_cpu();
    sent = true;
  });
  if (sent) tell_receiver();
  return sent;
}

// Null when nobody can receive any more.
std::byte* End::claim(std::size_t size) {
  ring::RingWriter& ring = *out_.index;
  while (true) {
    if (out_.way->no_receiver.load(std::memory_order_acquire) != 0) return nullptr;
    if (std::byte* room = ring.claim_unzeroed(size)) return room;
    wait_for_room();
  }
}

void End::publish(std::size_t size, std::uint16_t tag) {
  out_.index->commit(size, tag);
  out_.index->publish();
  if (is_time_to_look(out_.index->committed(), size)) note_cpu();
}

bool End::send_record(std::span<const std::byte> bytes, std::uint16_t tag) {
  std::byte* room = claim(bytes.size());
  if (!room) return false;
  shared::copy_small(room, bytes.data(), bytes.size());
  publish(bytes.size(), tag);
  return true;
}

bool End::send_piece(std::span<const std::byte> front, std::span<const std::byte> bytes, std::uint16_t tag) {
  if (socket_ >= 0) return send_packet(socket_, front, bytes, tag);
  if (front.empty()) return send_record(bytes, tag);
  const std::size_t size = front.size() + bytes.size();
  std::byte* room = claim(size);
  if (!room) return false;
  std::memcpy(room, front.data(), front.size());
  std::memcpy(room + front.size(), bytes.data(), bytes.size());
  publish(size, tag);
  return true;
}

bool End::send_pieces(std::span<const std::byte> bytes, std::uint16_t attached) {
  const std::uint64_t size = bytes.size();
  auto front = std::as_bytes(std::span(&size, 1));
  auto tag = static_cast<std::uint16_t>(attached | static_cast<std::uint16_t>(Part::first));
  while (!bytes.empty()) {
    const auto piece = bytes.first(std::min(bytes.size(), record_max() - front.size()));
    if (!send_piece(front, piece, tag)) return false;
    std::atomic_thread_fence(std::memory_order_seq_cst);
    tell_receiver();
    bytes = bytes.subspan(piece.size());
    front = {};
    tag = static_cast<std::uint16_t>(Part::more);
  }
  return true;
}

// Whatever the outcome, the claim is to be tried again. While we are awake, half of the ring is worth waiting for; asleep, any room is:
// the receiver may wait for what we do next.
void End::wait_for_room() {
  const ring::RingWriter& ring = *out_.index;
  const std::uint64_t half = ring.room_wanted();
  const auto came = [&] { return ring.room_came(half) || out_.way->no_receiver.load(std::memory_order_relaxed) != 0; };
  if (happens_soon(out_.patience, Clock::time_point::max(), came)) return;
  const std::uint64_t position = ring.room_needed();
  const std::uint32_t epoch = out_.way->room_epoch.load(std::memory_order_seq_cst);
  out_.header->room_wanted.store(position, std::memory_order_seq_cst);
  fence_against(out_.way->receive_lock);  // with tell_sender(): one of us sees the other's
  tell_receiver();  // who looks whether there is something sees that we do not get on without it: see ready()
  const bool changed = ring.room_came(position) || out_.way->no_receiver.load(std::memory_order_acquire) != 0;
  check_whole();
  if (!changed) os::futex_wait(out_.way->room_epoch, epoch);
}

void End::tell_receiver() const {
  if (socket_ >= 0 || out_.header->reader_asleep.load(std::memory_order_seq_cst) == 0) return;
  if (out_.header->reader_asleep.exchange(0, std::memory_order_seq_cst) != 0) wake(out_.way->data_epoch);
}

// Receiving.

void End::take_reader(const shared::Held& held) {
  if (held.was_kept() && in_.index) return;
  if (!in_.index || in_.header->head.load(std::memory_order_relaxed) != in_.index->head()) in_.index = ring::RingReader(in_.ring);
}

bool End::received_at_once(bool is_wanted) {
  if (is_wanted) receive_lock_.give_up();
  note_cpu();
  tell_sender();
  return true;
}

End::Received End::receive(std::vector<std::byte>& bytes, Extra& extra, Clock::time_point deadline) {
  if (receive_at_once(bytes)) return Received::frame;
  Received received = Received::late;
  guarded([&] {
    const shared::Held held(receive_lock_, deadline);
    if (!held) return;
    if (socket_ < 0) take_reader(held);
    received = socket_ < 0 ? receive_records(bytes, extra, deadline) : receive_packets(bytes, extra, deadline);
  });
  received == Received::frame ? tell_sender() : check_whole();
  return received;
}

End::Received End::receive_records(std::vector<std::byte>& bytes, Extra& extra, Clock::time_point deadline) {
  std::uint64_t missing = 0;  // of a frame whose first pieces we have
  bool coming = false;        // we have pieces, or passed over some: poll() may have said so, and whoever is sending waited for their room
  while (true) {
    ring::RingReader& ring = *in_.index;
    const ring::Frame* record = ring.peek();
    if (!record) {
      if (const auto end = wait_for_data(missing, coming, deadline)) return *end;
      continue;
    }
    const auto part = static_cast<Part>(record->tag & kPartMask);
    if (part == Part::whole) {
      bytes.assign(record->data, record->data + record->size);
      extra.attached = record->tag >> kAttachedShift;
      ring.release();
      if (is_time_to_look(ring.head(), bytes.size())) note_cpu();
      return Received::frame;
    }
    if (part == Part::block) {
      receive_block(record->bytes(), bytes, extra);
      return Received::frame;
    }
    const bool whole = take_piece(record->bytes(), record->tag, bytes, extra, missing);
    ring.release();
    if (whole) return Received::frame;
    coming = true;
    std::atomic_thread_fence(std::memory_order_seq_cst);
    tell_sender();
  }
}

// True when that was the last one of a frame.
bool End::take_piece(std::span<const std::byte> piece, std::uint16_t tag, std::vector<std::byte>& bytes, Extra& extra,
                     std::uint64_t& missing) {
  if (static_cast<Part>(tag & kPartMask) == Part::first) {
    if (piece.size() <= sizeof missing) throw ProtocolError("a pipe's peer sent a malformed frame");
    std::memcpy(&missing, piece.data(), sizeof missing);
    if (missing == 0 || missing > kFrameMax) throw ProtocolError("a pipe's peer sent a frame that is too large");
    piece = piece.subspan(sizeof missing);
    bytes.clear();
    bytes.reserve(std::min<std::size_t>(missing, kReserveMax));
    extra.attached = tag >> kAttachedShift;
  }
  if (missing == 0) return false;  // what is left of a frame whose receiver died
  if (piece.size() > missing) throw ProtocolError("a pipe's peer sent more than it said");
  append(bytes, piece);
  missing -= piece.size();
  return missing == 0;
}

// What is missing of a frame whose sender died over it will not come: root nudges us when it has freed the lock.
End::Received End::receive_packets(std::vector<std::byte>& bytes, Extra& extra, Clock::time_point deadline) {
  packet_.resize(kPacketFront + record_max() + sizeof(std::uint64_t));
  std::uint64_t missing = 0;
  while (true) {
    const Packet packet = receive_packet(socket_, packet_);
    if (packet.state == Packet::State::ended) return Received::ended;
    if (packet.state == Packet::State::record) {
      const auto part = static_cast<Part>(packet.tag & kPartMask);
      if (part == Part::block) throw ProtocolError("a pipe's peer sent a block over a socket");
      if (part != Part::whole) {
        if (take_piece(packet.bytes, packet.tag, bytes, extra, missing)) return Received::frame;
        continue;
      }
      bytes.assign(packet.bytes.begin(), packet.bytes.end());
      extra.attached = packet.tag >> kAttachedShift;
      return Received::frame;
    }
    if (packet.state == Packet::State::nudge) continue;
    if (missing > 0 && !in_.way->send_lock.holder()) {
      if (!ready()) missing = 0;  // what was sent before the lock became free is there now
      continue;
    }
    if (missing > 0) {
      static_cast<void>(os::wait_for(socket_, POLLIN, Clock::now() + kNudgeTime));
    } else if (!os::wait_for(socket_, POLLIN, deadline)) {
      return Received::late;
    }
  }
}

void End::receive_block(std::span<const std::byte> record, std::vector<std::byte>& bytes, Extra& extra) {
  BlockReference what;
  if (!blocks_ || record.size() != sizeof what) throw ProtocolError("a pipe's peer sent a malformed block");
  std::memcpy(&what, record.data(), sizeof what);
  ring::RingReader& ring = *in_.index;
  bytes.clear();
  extra.attached = 0;
  extra.block = blocks_->received(*in_.way, other(side_), what, ring.next_head(), [&] { ring.release(); });
}

// Nothing: look again. What is missing of a frame whose sender died over it will not come.
std::optional<End::Received> End::wait_for_data(std::uint64_t& missing, bool& coming, Clock::time_point deadline) {
  ring::RingReader& ring = *in_.index;
  if (coming) deadline = Clock::time_point::max();
  const bool may_wait = deadline != Clock::time_point::min();
  if (may_wait && happens_soon(in_.patience, deadline, [&] { return ring.has_more(); })) return {};
  const std::uint32_t epoch = arm();
  if (ring.has_more()) return {};
  if (in_.way->no_sender.load(std::memory_order_acquire) != 0) {
    if (ring.has_more()) return {};
    return Received::ended;
  }
  if (coming && !in_.way->send_lock.holder()) {
    std::atomic_thread_fence(std::memory_order_acquire);  // what was sent before the lock became free is seen now
    if (!ring.has_more()) missing = 0, coming = false;
    return {};
  }
  check_whole();
  if (may_wait && (os::futex_wait(in_.way->data_epoch, epoch, deadline) || ring.has_more())) return {};
  return Received::late;
}

std::uint32_t End::arm() const {
  const std::uint32_t epoch = in_.way->data_epoch.load(std::memory_order_seq_cst);
  in_.header->reader_asleep.store(1, std::memory_order_seq_cst);
  fence_against(in_.way->send_lock);  // with tell_receiver(): one of us sees the other's
  return epoch;
}

bool End::ready() const {
  if (socket_ >= 0) [[unlikely]]
    return os::wait_for(socket_, POLLIN, Clock::time_point::min());
  const Outlook outlook = look_ahead(*in_.header, in_.ring.subspan(sizeof(ring::RingHeader)));
  if (outlook == Outlook::frame || in_.way->no_sender.load(std::memory_order_acquire) != 0 || is_broken()) return true;
  // Pieces of a frame are nothing until the last one is there, unless its sender waits for their room. If it is dead, root frees its lock
  // and wakes us.
  return outlook == Outlook::part && in_.header->room_wanted.load(std::memory_order_seq_cst) != 0 && in_.way->send_lock.holder();
}

bool End::poll(Clock::time_point deadline) const {
  const bool is_ready = wait_until_ready(deadline);
  check_whole();
  return is_ready;
}

bool End::wait_until_ready(Clock::time_point deadline) const {
  if (socket_ >= 0) [[unlikely]]
    return os::wait_for(socket_, POLLIN, deadline);
  if (ready()) return true;
  if (deadline > Clock::now() && happens_soon(in_.patience, deadline, [&] { return ready(); })) return true;
  while (deadline > Clock::now()) {
    const std::uint32_t epoch = arm();
    if (ready()) return true;
    os::futex_wait(in_.way->data_epoch, epoch, deadline);
    if (ready()) return true;
  }
  return false;
}

void End::tell_sender() const {
  if (socket_ >= 0) return;
  Word& wanted = in_.header->room_wanted;
  const std::uint64_t wish = wanted.load(std::memory_order_seq_cst);
  if (wish == 0 || in_.header->head.load(std::memory_order_relaxed) < wish) return;
  if (wanted.exchange(0, std::memory_order_seq_cst) != 0) wake(in_.way->room_epoch);
}

}  // namespace troupe::pipe
