#pragma once

#include <troupe/actor.h>

#include <cstddef>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "supervisor/tree.h"
#include "supervisor/wire.h"

namespace troupe::program {

// A worker that is an actor of this process.
class ActorWork final : public supervisor::Work {
 public:
  using Make = std::unique_ptr<Actor> (*)(Context&, std::span<const std::byte>);
  ActorWork(Make how, std::vector<std::byte> with) : make(how), arguments(std::move(with)) {}
  const Make make;
  const std::vector<std::byte> arguments;
};

// Such work as it travels. A pointer to a function means the same in all processes of a tree.
class ActorForm final : public supervisor::WorkForm {
 public:
  void write(supervisor::wire::Child::Builder to, const supervisor::ChildSpec& from) const override;
  [[nodiscard]] std::shared_ptr<const supervisor::Work> read(supervisor::wire::Child::Reader from) const override;
};

// A tree of supervisors over actors in this process, itself an actor: its decisions are those of supervisor::Tree, its children are
// watched by monitors. A restarted actor has the name of its id again, and another address.
//
// An actor is stopped by its on_stop(), and killed once what runs of it has returned: one that never does return hangs the
// process, which is the watchdog's business.
//
// It is the first actor of its process; who is told by root that this process has children asks it about them, by a wire::Order.
//
// Who waits for an actor to come back waits for as little as possible: it is told of on standard error, and to root, when it is there
// again. (If its constructor ends the process, that is what is told of.)
//
// It ends when its tree does: in order, or with Death::cascade when that gave up.
//
// Threads: the node's.
class LocalSupervisor final : public Actor {
 public:
  LocalSupervisor(Context& context, const supervisor::SupervisorSpec& spec);
  void on_stop() override;

 private:
  void carry_out(supervisor::Tree::Commands commands);
  void act(const supervisor::tree_command::Start& start);
  void act(const supervisor::tree_command::Stop& stop);
  void act(const supervisor::tree_command::Kill& kill);
  void act(const supervisor::tree_command::Started&) {}
  void act(const supervisor::tree_command::Ended& ended);
  void act(const supervisor::tree_command::Answer& answer);
  void act(supervisor::tree_command::Note& note) { notes_.push_back(std::move(note)); }
  void say_notes();
  void withdraw_names();
  void died(supervisor::WorkerId worker, const Death& death);
  void obey(supervisor::wire::Order::Reader order, Responder<supervisor::wire::LocalAnswer> asker);
  void which_children(const std::string& under, Responder<supervisor::wire::LocalAnswer>& asker) const;
  void arm_timer();

  struct Worker {
    Address address;
    std::string name;
  };
  supervisor::Tree tree_;
  std::deque<supervisor::TreeCommand> commands_;
  bool acting_ = false;
  std::vector<supervisor::tree_command::Note> notes_;  // to be printed once all is done
  std::vector<std::string> names_gone_;                // of workers that ended; another may have them again by then
  std::unordered_map<supervisor::WorkerId, Worker> workers_;
  supervisor::Request requests_ = 0;
  std::unordered_map<supervisor::Request, Responder<supervisor::wire::LocalAnswer>> askers_;
  Timer timer_;
  std::optional<supervisor::Time> timer_at_;
};

// Entries: a process that hosts one supervised actor, or a LocalSupervisor. The arguments: a message of wire::Child, or of wire::Supervisor.
int host_child(std::span<const std::byte> arguments);
int host_supervisor(std::span<const std::byte> arguments);

}  // namespace troupe::program
