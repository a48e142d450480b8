#include "node/scheduler.h"

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/detail/simple_actor_clock.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/mailbox_element.hpp>
#include <caf/make_actor.hpp>
#include <caf/monitorable_actor.hpp>
#include <caf/scheduler/abstract_coordinator.hpp>

#include <deque>
#include <mutex>

#include "node/cell.h"

namespace troupe::node {

namespace {

// How many messages CAF hands to one shell before the next has its turn; a shell's "work" message stands for a batch of ours.
constexpr std::size_t kThroughput = 4;

using WorkAtom = caf::atom_constant<caf::atom("work")>;

// CAF's output for people goes nowhere: a shell has nothing to say.
class MutePrinter final : public caf::monitorable_actor {
 public:
  explicit MutePrinter(caf::actor_config& config) : monitorable_actor(config) {}
  using caf::abstract_actor::enqueue;
  void enqueue(caf::mailbox_element_ptr, caf::execution_unit*) override {}
};

// CAF's time-outs are not used; its actors cancel theirs when they end.
class Clock final : public caf::detail::simple_actor_clock {};

}  // namespace

// Hands CAF's jobs to the node's loop, so that one thread waits for links and runs actors.
class Scheduler::Coordinator final : public caf::scheduler::abstract_coordinator, public caf::execution_unit {
 public:
  Coordinator(caf::actor_system& system, void (*wake)(void*), void* what)
      : abstract_coordinator(system), execution_unit(&system), wake_(wake), what_(what) {}

  // From the actor that runs, so on the node's thread.
  void exec_later(caf::resumable* job) override { jobs_.push_back(job); }
  // From anywhere.
  void enqueue(caf::resumable* job) override {
    {
      const std::lock_guard lock(mutex_);
      from_outside_.push_back(job);
      outside_waits_.store(true, std::memory_order_release);
    }
    wake_(what_);
  }

  std::size_t run(std::size_t max) {
    if (outside_waits_.load(std::memory_order_acquire)) take_from_outside();
    std::size_t done = 0;
    for (; done < max && !jobs_.empty(); ++done) {
      caf::resumable* job = jobs_.front();
      jobs_.pop_front();
      switch (job->resume(this, kThroughput)) {
        case resume_result::resume_later: jobs_.push_back(job); break;
        case resume_result::shutdown_execution_unit: break;
        default: caf::intrusive_ptr_release(job);
      }
    }
    return done;
  }
  [[nodiscard]] bool has_jobs() const { return !jobs_.empty() || outside_waits_.load(std::memory_order_acquire); }

  caf::actor_clock& clock() noexcept override { return clock_; }
  [[nodiscard]] bool detaches_utility_actors() const override { return false; }

 protected:
  void start() override {
    caf::actor_config config{this};
    utility_actors_[printer_id] = caf::make_actor<MutePrinter, caf::actor>(abstract_coordinator::system().next_actor_id(),
                                                                           abstract_coordinator::system().node(),
                                                                           &abstract_coordinator::system(), config);
  }
  void stop() override {
    while (run(jobs_.size() + 1) > 0) {
    }
  }

 private:
  using resume_result = caf::resumable::resume_result;

  void take_from_outside() {
    const std::lock_guard lock(mutex_);
    jobs_.insert(jobs_.end(), from_outside_.begin(), from_outside_.end());
    from_outside_.clear();
    outside_waits_.store(false, std::memory_order_relaxed);
  }

  std::deque<caf::resumable*> jobs_;
  std::mutex mutex_;
  std::deque<caf::resumable*> from_outside_;
  std::atomic<bool> outside_waits_{false};
  void (*wake_)(void*);
  void* what_;
  Clock clock_;
};

class Scheduler::Config final : public caf::actor_system_config {
 public:
  Config(void (*wake)(void*), void* what) {
    module_factories.emplace_back([wake, what](caf::actor_system& system) -> caf::actor_system::module* {
      return new Coordinator(system, wake, what);
    });
  }
};

// The CAF actor of one cell.
class Scheduler::Shell final : public caf::event_based_actor {
 public:
  Shell(caf::actor_config& config, detail::Cell& cell, const caf::mailbox_element* direct)
      : event_based_actor(config), cell_(cell), direct_(direct) {
    set_default_handler(caf::drop);
    set_down_handler([](caf::scheduled_actor*, caf::down_msg&) {});
  }
  const char* name() const override { return "troupe.actor"; }

  using event_based_actor::mailbox;

  // Ends it from outside of its own handlers.
  void end(caf::execution_unit* unit) {
    context(unit);
    quit();
    finalize();
  }

 protected:
  // An actor without a behaviour would end.
  caf::behavior make_behavior() override {
    return {[](caf::atom_value) {}};
  }

  caf::invoke_message_result consume(caf::mailbox_element& element) override {
    bool lives = true;
    if (&element == direct_) {
      lives = cell_.execute();
    } else if (element.content().match_elements<caf::atom_value>()) {
      lives = cell_.execute_mailbox();
    } else {
      return event_based_actor::consume(element);
    }
    if (!lives) quit();
    return caf::invoke_message_result::consumed;
  }

  void on_exit() override { cell_.ended(); }

 private:
  detail::Cell& cell_;
  const caf::mailbox_element* direct_;
};

struct Scheduler::System {
  System(void (*wake)(void*), void* what) : config(wake, what), system(config) {
    system.await_actors_before_shutdown(false);
    coordinator = dynamic_cast<Coordinator*>(&system.scheduler());
  }

  Config config;
  caf::actor_system system;
  Coordinator* coordinator;
  // Stands for "execute the cell"; its content is never looked at.
  caf::mailbox_element_ptr direct = caf::make_mailbox_element(nullptr, caf::make_message_id(), {}, WorkAtom::value);
};

Scheduler::Scheduler(void (*wake)(void*), void* what) : system_(std::make_unique<System>(wake, what)) {}
Scheduler::~Scheduler() = default;

Scheduler::Shell* Scheduler::spawn(detail::Cell& cell) {
  auto& system = system_->system;
  caf::actor_config config{system_->coordinator};
  auto shell = caf::make_actor<Shell, caf::strong_actor_ptr>(system.next_actor_id(), system.node(), &system, config, cell,
                                                             system_->direct.get());
  auto* pointer = static_cast<Shell*>(caf::actor_cast<caf::abstract_actor*>(shell));
  pointer->launch(system_->coordinator, true, true);
  static_cast<void>(shell.release());  // until release()
  return pointer;
}

void Scheduler::release(Shell* shell) { caf::intrusive_ptr_release(shell->ctrl()); }

bool Scheduler::idle(const Shell* shell) const { return const_cast<Shell*>(shell)->mailbox().blocked(); }

void Scheduler::activate(Shell* shell) { shell->activate(system_->coordinator, *system_->direct); }

void Scheduler::end(Shell* shell) { shell->end(system_->coordinator); }

void Scheduler::schedule(Shell* shell) {
  shell->enqueue(caf::make_mailbox_element(nullptr, caf::make_message_id(), {}, WorkAtom::value), system_->coordinator);
}

std::size_t Scheduler::run_jobs(std::size_t max) { return system_->coordinator->run(max); }
bool Scheduler::has_jobs() const { return system_->coordinator->has_jobs(); }

}  // namespace troupe::node
