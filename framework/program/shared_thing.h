#pragma once

#include <atomic>
#include <concepts>
#include <memory>
#include <mutex>

#include <troupe/errors.h>

#include "process/client.h"
#include "process/thing_id.h"
#include "shared/kept_lock.h"

namespace troupe::program {

// What all handles in this process that stand for one thing have in common: its memory, and the slot that root gave this process.
// The thing is left when the last of them goes, in that process. Each kind of handle derives from it.
//
//     class LockPart : public SharedThing { … };
//     auto part = SharedThing::create<LockPart>(ThingKind::primitive, std::move(memory));
//     auto same = SharedThing::open<LockPart>(part->id());
//
// Threads: any.
class SharedThing {
 public:
  SharedThing(process::ThingId id, process::ThingAccess access) : id_(id), access_(std::move(access)), forks_(shared::forks()) {}
  SharedThing(const SharedThing&) = delete;
  SharedThing& operator=(const SharedThing&) = delete;
  virtual ~SharedThing();

  [[nodiscard]] process::ThingId id() const { return id_; }
  [[nodiscard]] std::uint32_t slot() const { return access_.slot; }
  [[nodiscard]] const os::Descriptor& memory() const { return access_.memory; }
  [[nodiscard]] const os::Descriptor& socket() const { return access_.socket; }  // if it has one
  // A process that the user forked has all handles of its parent, but none of its slots: what it did would be done, and undone, in its
  // parent's name. So every use of a handle looks, and throws std::logic_error there; what is unwound there does nothing.
  [[nodiscard]] bool is_here() const { return forks_ == shared::forks(); }
  void check_here() const {
    if (!is_here()) [[unlikely]] throw_not_here();
  }

  // That this process has waited for it for a while.
  void tell_waiting() const { client().waits_for(id_); }

  // That its memory was overwritten; once. All others who use it are told.
  void tell_broken() const noexcept;

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
    client().check_process();  // in a fork, the mutex may be that of a thread that is not there
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

  [[noreturn]] static void throw_not_here();

  process::ThingId id_;
  process::ThingAccess access_;
  std::uint32_t forks_;  // when it was opened
  mutable std::atomic<bool> told_{false};
};

// From now on messages may have handles among their values, here and in what is forked.
void keep_handles_of_messages();

}  // namespace troupe::program
