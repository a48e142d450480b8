#pragma once

#include <map>
#include <memory>
#include <span>
#include <utility>

#include "process/root.h"
#include "supervisor/driver.h"
#include "supervisor/messages.h"
#include "supervisor/service.capnp.h"

namespace troupe::supervisor {

// The supervisors that processes have asked root to run for them: what a `Supervisor` in a user's program talks to. They live in root,
// so that they restart what dies also while the process that made them is busy, stopped or hung; when that dies they stop.
//
//     fork_tree(origin, [](process::Root& root) { root.serve(*new Supervision(root)); });
//
// Threads: confined to root's one thread.
class Supervision final : public process::Service {
 public:
  explicit Supervision(process::Root& root);
  ~Supervision() override;

  void ordered(process::ProcessId client, std::span<const std::byte> order) override;
  void gone(process::ProcessId client) override;
  void ending(bool at_once) override;

 private:
  class Supervised;
  using Key = std::pair<process::ProcessId, std::uint64_t>;

  void obey(process::ProcessId client, wire::Order::Reader order);

  process::Root& root_;
  Messages messages_;
  bool ending_ = false;
  std::map<Key, std::unique_ptr<Supervised>> supervised_;
};

}  // namespace troupe::supervisor
