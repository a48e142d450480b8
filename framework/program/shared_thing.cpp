#include "program/shared_thing.h"

#include <exception>
#include <stdexcept>
#include <unordered_map>

#include <troupe/process_call.h>

#include "message/handles.h"

namespace troupe {

namespace program {

namespace {

// Never destroyed: handles in static variables may outlive everything.
std::unordered_map<process::ThingId, std::weak_ptr<SharedThing>>& things() {
  static auto& things = *new std::unordered_map<process::ThingId, std::weak_ptr<SharedThing>>;
  return things;
}

}  // namespace

// A new one may have been opened under this number meanwhile; root counts both.
SharedThing::~SharedThing() {
  if (!is_here()) return;
  {
    const std::scoped_lock lock(mutex());
    const auto found = things().find(id_);
    if (found != things().end() && found->second.expired()) things().erase(found);
  }
  try {
    if (process::Client* here = process::Client::here()) here->close_thing(id_);
  } catch (const std::exception&) {  // root finds out when this process ends
  }
}

void SharedThing::throw_not_here() {
  client().check_process();
  throw std::logic_error("a handle of another process");
}

void SharedThing::tell_broken() const noexcept {
  if (told_.exchange(true, std::memory_order_relaxed)) return;
  try {
    client().found_broken(id_);
  } catch (const std::exception&) {  // root finds out when whoever did that has ended
  }
}

std::recursive_mutex& SharedThing::mutex() {
  static auto& mutex = *new std::recursive_mutex;  // a part that cannot be made leaves its thing under it
  return mutex;
}

process::Client& SharedThing::client() {
  if (auto* here = process::Client::here()) return *here;
  throw std::logic_error("there is no troupe::Program here: make it the first line of main");
}

std::shared_ptr<SharedThing> SharedThing::find(process::ThingId id) {
  const auto found = things().find(id);
  return found == things().end() ? nullptr : found->second.lock();
}

void SharedThing::note_locked(const std::shared_ptr<SharedThing>& thing) { things()[thing->id()] = thing; }

void SharedThing::note(const std::shared_ptr<SharedThing>& thing) {
  const std::scoped_lock lock(mutex());
  note_locked(thing);
}

std::shared_ptr<SharedThing> SharedThing::here(process::ThingId id) {
  const std::scoped_lock lock(mutex());
  return find(id);
}

namespace {

class Keeper final : public message::HandleKeeper {
 public:
  std::shared_ptr<void> hold(std::uint64_t handle) override { return SharedThing::here(handle); }
  void arrived(const std::vector<std::uint64_t>& handles) override {
    process::Client* client = process::Client::here();
    if (client) client->things_arrived(client->self(), handles);
  }
};

}  // namespace

void keep_handles_of_messages() {
  static Keeper keeper;
  message::set_handle_keeper(&keeper);
}

}  // namespace program

namespace detail {

std::shared_ptr<void> hold_handle(std::uint64_t id) { return program::SharedThing::here(id); }

}  // namespace detail

}  // namespace troupe
