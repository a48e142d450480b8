#pragma once

#include <cstdint>
#include <memory>
#include <vector>

namespace troupe::message {

// What the rooms above know of handles, for values in messages that have some.
class HandleKeeper {
 public:
  virtual ~HandleKeeper() = default;
  // What the handle stands for, which stays as long as the result.
  virtual std::shared_ptr<void> hold(std::uint64_t handle) = 0;
  // Handles that were sent to this process have arrived: see Tree::give().
  virtual void arrived(const std::vector<std::uint64_t>& handles) = 0;
};

// The keeper of this process; set once, before anything is sent. Without one, values have no handles.
void set_handle_keeper(HandleKeeper* keeper);

}  // namespace troupe::message
