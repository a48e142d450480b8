#pragma once

#include <concepts>
#include <memory>
#include <mutex>

#include <troupe/errors.h>

#include "process/client.h"
#include "process/thing_id.h"

namespace troupe::program {

// What all handles in this process that stand for one thing have in common: its memory, and the slot that root gave this process.
// The thing is left when the last of them goes. Each kind of handle derives from it.
//
//     class LockPart : public SharedThing { … };
//     auto part = SharedThing::create<LockPart>(ThingKind::primitive, std::move(memory));
//     auto same = SharedThing::open<LockPart>(part->id());
//
// Threads: any.
class SharedThing {
 public:
  SharedThing(process::ThingId id, process::ThingAccess access) : id_(id), access_(std::move(access)) {}
  SharedThing(const SharedThing&) = delete;
  SharedThing& operator=(const SharedThing&) = delete;
  virtual ~SharedThing();

  [[nodiscard]] process::ThingId id() const { return id_; }
  [[nodiscard]] std::uint32_t slot() const { return access_.slot; }
  [[nodiscard]] const os::Descriptor& memory() const { return access_.memory; }
  [[nodiscard]] const os::Descriptor& socket() const { return access_.socket; }  // if it has one
  // That this process has waited for it for a while.
  void tell_waiting() const { client().waits_for(id_); }

  // Throw std::logic_error where there is no Program.
  template <std::derived_from<SharedThing> Part>
  static std::shared_ptr<Part> create(process::ThingKind kind, os::Descriptor memory, process::ThingId first_end = 0,
                                      os::Descriptor socket = {}) {
    const process::ThingId id = client().create_thing(kind, memory, first_end, socket);
    auto part = std::make_shared<Part>(id, process::ThingAccess{0, std::move(memory), std::move(socket)});
    note(part);
    return part;
  }
  // Throws SystemError when it is gone, ProtocolError if it is something else.
  // `prepare` has the part before any other thread has.
  template <std::derived_from<SharedThing> Part, class Prepare>
  static std::shared_ptr<Part> open(process::ThingId id, Prepare prepare) {
    const std::scoped_lock lock(mutex());
    auto found = find(id);
    if (!found) {
      auto made = std::make_shared<Part>(id, client().open_thing(id));
      prepare(*made);
      note_locked(found = std::move(made));
    }
    auto part = std::dynamic_pointer_cast<Part>(std::move(found));
    if (!part) throw ProtocolError("a handle of another kind");
    return part;
  }
  template <std::derived_from<SharedThing> Part>
  static std::shared_ptr<Part> open(process::ThingId id) {
    return open<Part>(id, [](Part&) {});
  }
  // One that this process uses already; else null.
  static std::shared_ptr<SharedThing> here(process::ThingId id);

 private:
  static process::Client& client();
  static std::recursive_mutex& mutex();
  static std::shared_ptr<SharedThing> find(process::ThingId id);
  static void note(const std::shared_ptr<SharedThing>& thing);
  static void note_locked(const std::shared_ptr<SharedThing>& thing);

  process::ThingId id_;
  process::ThingAccess access_;
};

// From now on messages may have handles among their values, here and in what is forked.
void keep_handles_of_messages();

}  // namespace troupe::program
