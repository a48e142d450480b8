#include "message/handles.h"

#include <troupe/message.h>
#include <troupe/value.h>

namespace troupe {

namespace message {

namespace {

HandleKeeper* keeper_here = nullptr;

}  // namespace

void set_handle_keeper(HandleKeeper* keeper) { keeper_here = keeper; }

}  // namespace message

namespace detail {

void send_along(const std::vector<std::uint64_t>& handles) {
  Strip& strip = Strip::of_thread();
  if (!message::keeper_here || !strip.busy()) wire::refuse_attachments();
  for (const std::uint64_t handle : handles) {
    strip.handles().ids.push_back(handle);
    strip.handles().kept.push_back(message::keeper_here->hold(handle));
  }
}

void handles_arrived(const std::vector<std::uint64_t>& handles) {
  if (message::keeper_here) message::keeper_here->arrived(handles);
}

}  // namespace detail

}  // namespace troupe
