#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "message/decode.h"
#include "message/frame.h"
#include "node/cell.h"
#include "node/link.h"
#include "node/node.h"
#include "node/outside.h"
#include "node/questions.h"
#include "node/scheduler.h"
#include "node/slots.h"
#include "node/tree.h"
#include "os/descriptor.h"
#include "os/epoll.h"

namespace troupe::node {

// A node from inside: everything here runs on one thread, which drains the links, runs the actors, and sleeps.
//
// Its parts: core.cpp the loop, core_actors.cpp lives and ends of actors, core_deliver.cpp what arrives, core_send.cpp what leaves,
// core_links.cpp coming and going of links and processes.
//
// Threads: the node's, except for what Outside offers.
class Core final : public TreeEvents {
 public:
  Core(Tree& tree, const NodeOptions& options);
  ~Core() override;

  // The node whose thread this is, if any.
  static Core* current();
  // Makes `core` that, for a scope.
  class Inside {
   public:
    explicit Inside(Core* core);
    ~Inside();
    Inside(const Inside&) = delete;

   private:
    Core* before_;
  };

  // ── core.cpp
  enum class Until { empty, stopped };
  void loop(Until until);
  [[nodiscard]] Outside& outside() { return outside_; }
  [[nodiscard]] const NodeOptions& options() const { return options_; }
  [[nodiscard]] std::uint64_t self() const { return self_; }
  void abort() { aborted_ = true; }
  void wake();  // any thread
  void dead_letter(std::uint64_t count = 1) { dead_letters_.fetch_add(count, std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t dead_letters() const { return dead_letters_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::string decode(std::span<const std::byte> frame) const { return decoder_.text(frame); }
  [[nodiscard]] Tree& tree() { return tree_; }
  // The thread gets on.
  void beat() {
    if (watch_) [[unlikely]] watch_->beat();
  }

  // ── core_actors.cpp
  Address spawn(Function<std::unique_ptr<Actor>(Context&)>& make, std::uint32_t restarts = 0);
  [[nodiscard]] detail::Cell* running() const { return running_; }
  void ended(detail::Cell& cell);
  void stop_all();
  void end_actors();  // at once
  // One actor: its on_stop(), or its end as soon as what runs of it has returned.
  void stop_actor(CellId id, const std::optional<Death>& death);
  void end_actor(CellId id, const std::optional<Death>& death);
  // Asked first, and alone, when all are to stop.
  void set_keeper(CellId id) { keeper_ = id; }
  [[nodiscard]] const std::optional<Death>& last_death() const { return last_death_; }
  [[nodiscard]] bool has_actors() const { return slots_.size() != 0; }
  // A cell that could not run may be able to now.
  void reconsider(detail::Cell& cell);
  void release_shell(Scheduler::Shell* shell);
  void dropped(std::uint64_t process, std::uint64_t correlation);
  void answer_dropped(const std::optional<Death>& death);

  // ── core_send.cpp
  bool send(std::uint64_t process, const message::FrameHeader& header, const detail::Payload& payload, detail::WhenFull when_full);
  void forward(std::uint64_t process, KeptFrame frame);
  void answer_down(std::uint64_t process, std::uint64_t correlation, const Death& death);
  void refuse(std::uint64_t process, std::uint64_t correlation, const std::string& why);
  void ask(Question& question, message::Kind kind, const detail::Payload& payload);
  Question& open_question(Question::Kind kind, Duration timeout);
  void look_up(Question& question, const std::string& name);
  void close_question(Question& question, bool tell);
  [[nodiscard]] Question* question(std::uint64_t id) { return questions_.find(id); }
  void start_timer(Question& question, Duration delay, bool again);
  // Of the link that a question goes over now; 0 if there can be none.
  [[nodiscard]] std::uint64_t link_id(std::uint64_t process);
  [[nodiscard]] bool congested(std::uint64_t process, std::uint32_t slot);

  // ── core_deliver.cpp
  // A question has its answer, in a frame or not: hands it to who waits, now or as a letter.
  void settle(Question& question, const message::FrameHeader& header, std::uint64_t process, const detail::Body& body);
  void settle(Question& question, Event event);
  // Calls what waits for the answer; in its actor.
  void answer(const message::FrameHeader& header, const detail::Body& body);
  void answer(std::uint64_t id, const Event& event);
  void mailbox_shrank(detail::Cell& cell);
  // What the shell is to do in execute().
  struct Job {
    void* object = nullptr;
    void (*call)(void*) = nullptr;
  };
  Job job;
  void enter(detail::Cell* cell) { running_ = cell; }

  // ── TreeEvents, core_links.cpp
  void offered(std::uint64_t process, const transport::LinkOptions& options, std::vector<os::Descriptor> ends) override;
  void down(std::uint64_t process, const Death& death) override;
  void found(std::uint64_t question, const Address& address, const transport::LinkOptions& options) override;
  void not_found(std::uint64_t question, const Death& why) override;
  void over_budget() override;
  void stop_requested() override;

 private:
  // ── core.cpp
  bool finished(Until until);
  std::size_t pass();
  void idle();
  bool spin();
  bool arm();
  void poll(Clock::time_point deadline);
  Clock::time_point wake_at();
  void take_event(std::uint64_t key);
  std::size_t fire_timers();
  void bury();
  void lay_to_rest();

  // ── core_actors.cpp
  // Runs `f` in the shell of a cell that is free().
  template <class F>
  void run(detail::Cell& cell, F&& f) {
    job = {&f, [](void* object) { (*static_cast<std::remove_reference_t<F>*>(object))(); }};
    scheduler_.activate(cell.shell);
  }
  void stop_next();
  Question* first_question(detail::Cell& cell);
  void resume_senders(detail::Cell& cell);

  // ── core_send.cpp
  void hold(Peer::Paused& paused, KeptFrame frame);
  std::byte* owe(Link& link, const message::FrameHeader& header, std::size_t size);
  bool to_nobody(const message::FrameHeader& header, const Death& why);
  void check_bound(const message::FrameHeader& header, std::size_t owed) const;
  void mark_dirty(Link& link) {
    if (link.dirty) return;
    link.dirty = true;
    dirty_.push_back(&link);
  }
  void note_owing(Link& link);
  void flush();
  void push_owing();
  void release(std::vector<CellId> waiters, bool link);

  // ── core_deliver.cpp
  std::size_t drain(Link& link, std::size_t max);
  void deliver(Link& link, const message::FrameHeader& header, const detail::Body& body);
  void deliver_message(Peer& peer, const message::FrameHeader& header, const detail::Body& body);
  void deliver_answer(Peer& peer, const message::FrameHeader& header, const detail::Body& body);
  void deliver_to_dead(Peer& peer, const message::FrameHeader& header);
  void add_watcher(Peer& peer, const message::FrameHeader& header);
  void remove_watcher(Peer& peer, const message::FrameHeader& header);
  void pause(Peer& peer, const message::FrameHeader& header);
  void resume(Peer& peer, const message::FrameHeader& header);
  void keep(detail::Cell& cell, Letter letter);
  [[nodiscard]] bool can_run(const detail::Cell& cell) const { return cell.free() && scheduler_.idle(cell.shell); }
  void conclude(std::uint64_t id, const detail::Outcome& outcome);
  void tick(Question& question);

  // ── core_links.cpp
  Peer& peer(std::uint64_t process) {
    return last_peer_ && last_peer_->process == process ? *last_peer_ : find_peer(process);
  }
  Peer& find_peer(std::uint64_t process);
  Link* link_to(Peer& peer);
  Link& add_link(Peer& peer, std::unique_ptr<transport::Transport> transport);
  void activate(Link& link);
  void drop(Link& link);
  void poison(Link& link, const char* why);
  void closed(Link& link);
  void fail(const std::vector<std::uint64_t>& questions, const Death& death);
  std::size_t fail_unreachable();
  void unpause(Peer& peer);
  void forget_oldest_dead(std::uint64_t newest);

  Tree& tree_;
  Watch* const watch_;
  const NodeOptions options_;
  const std::uint64_t self_;
  os::Epoll epoll_;
  os::Descriptor bell_;
  std::atomic<bool> asleep_{false};
  std::atomic<std::uint64_t> dead_letters_{0};
  Outside outside_;
  Scheduler scheduler_;
  Slots slots_;
  Questions questions_;
  message::Decoder decoder_;
  std::unordered_map<std::uint64_t, std::unique_ptr<Peer>> peers_;
  std::unordered_map<std::uint64_t, Link*> links_;
  std::deque<std::uint64_t> dead_processes_;  // whose Death is kept, oldest first
  Peer* last_peer_ = nullptr;
  detail::Cell* running_ = nullptr;  // whose handler runs
  std::uint64_t links_made_ = 0;
  std::vector<Link*> active_;
  std::vector<Link*> dirty_;
  std::vector<Link*> owing_;
  std::vector<capnp::word> scratch_;
  struct Dropped {
    std::uint64_t process;
    std::uint64_t correlation;
  };
  struct Unreachable {
    std::uint64_t question;
    Death death;
  };
  std::vector<Unreachable> unreachable_;  // questions that could not be put to anybody: their askers hear of it in the next pass
  std::vector<Dropped> dropped_;  // requests whose Responder was dropped while a handler ran
  std::vector<std::unique_ptr<detail::Cell>> dead_cells_;
  std::vector<std::unique_ptr<Link>> dead_links_;
  std::vector<std::unique_ptr<Link>> resting_links_;
  Clock::time_point rest_until_{};
  std::vector<std::unique_ptr<Peer>> dead_peers_;
  std::optional<Death> last_death_;
  const Death* dying_of_ = nullptr;  // while an actor is taken apart
  unsigned passes_since_poll_ = 0;
  bool sent_in_pass_ = false;
  std::uint64_t actors_made_ = 0;
  CellId being_stopped_;
  CellId keeper_;
  bool stopping_ = false;
  bool aborted_ = false;
};

}  // namespace troupe::node
