#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <string>

#include <troupe/address.capnp.h>

namespace troupe {

// Where an actor can be reached, from any process of the tree. A value: copy it, compare it, put it into a message.
//
//     counter.send<Add>([](Add::Builder add) { add.setAmount(3); });   // needs <troupe/actor.h>
//     counter.write(message.initCounter());                            // into a message that has a field of type Address
//     troupe::Address counter = message.getCounter();                  // and out of it
//
// Made by spawn(), look_up() and the like; one made by default is nobody. An address outlives its actor: what is sent to the
// dead is dropped and counted, and nobody is told: ask, or monitor, to hear of a death. It is never used again for another
// actor.
//
// Threads: a value; sending is possible from any thread.
struct Address {
  std::uint64_t process = 0;
  std::uint32_t slot = 0;
  std::uint32_t generation = 0;  // 0 is nobody

  Address() = default;
  Address(std::uint64_t process_number, std::uint32_t slot_number, std::uint32_t slot_generation)
      : process(process_number), slot(slot_number), generation(slot_generation) {}
  Address(schema::Address::Reader from)  // NOLINT: so that a message's field reads as an address
      : process(from.getProcess()), slot(from.getSlot()), generation(from.getGeneration()) {}
  void write(schema::Address::Builder to) const;

  // Sends a Message that `fill` fills in. While the receiver's mailbox or the link to it is full the sender waits: a thread at
  // once, an actor before it is given its next message. Throws std::length_error if the message is too large for the link.
  template <class Message, class Fill>
  void send(Fill&& fill) const;
  template <class Message>
  void send() const;
  // The same, but where send() would wait this does nothing and returns false. True says that it was sent, not that anybody
  // lives there: to the dead it is true, too.
  template <class Message, class Fill>
  [[nodiscard]] bool try_send(Fill&& fill) const;

  explicit operator bool() const { return generation != 0; }
  auto operator<=>(const Address&) const = default;
};

// "process.slot.generation"; "nobody".
std::string to_string(const Address& address);
std::ostream& operator<<(std::ostream& out, const Address& address);

}  // namespace troupe

template <>
struct std::hash<troupe::Address> {
  std::size_t operator()(const troupe::Address& address) const noexcept {
    const std::uint64_t actor = (std::uint64_t{address.slot} << 32 | address.generation) * 0x9e3779b97f4a7c15u;
    return static_cast<std::size_t>(actor ^ address.process * 0xc2b2ae3d27d4eb4fu);
  }
};
