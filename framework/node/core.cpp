#include "node/core.h"

#include <immintrin.h>
#include <troupe/errors.h>

#include <algorithm>
#include <array>

#include "os/event.h"

namespace troupe::node {

namespace {

// Frames taken from one link before the next has its turn.
constexpr std::size_t kDrainMax = 512;
// Actors run from their mailboxes in one pass.
constexpr std::size_t kJobsMax = 64;
// A busy loop looks at its descriptors this often.
constexpr unsigned kPassesPerPoll = 32;
// A reader that has caught up pauses, or it fights with the writer for the lines that this is about to fill.
constexpr std::size_t kFewFrames = 32;
constexpr int kPauses = 40;
// A peer on another CPU that answers at all answers within this time, most often.
constexpr auto kSpin = std::chrono::microseconds(20);
constexpr int kLooksPerClock = 32;
// How long a node that has ended tries to get rid of what it owes.
constexpr auto kLinger = std::chrono::seconds(1);
// How long the links of the dead keep their memory, and how many of them.
constexpr auto kRest = std::chrono::milliseconds(20);
constexpr std::size_t kRestingMax = 16;  // their descriptors, too, are still open
// Memory for a message on receipt: at first, and at most kept for the next.
constexpr std::size_t kScratchWords = 1024;
constexpr std::size_t kScratchWordsMax = std::size_t{1} << 20;

constexpr std::uint64_t kTreeKey = 0;
constexpr std::uint64_t kBellKey = 1;

[[gnu::tls_model("initial-exec")]] thread_local Core* current_core = nullptr;

}  // namespace

Core::Inside::Inside(Core* core) : before_(std::exchange(current_core, core)) {}
Core::Inside::~Inside() { current_core = before_; }
Core* Core::current() { return current_core; }

Core::Core(Tree& tree, const NodeOptions& options)
    : tree_(tree),
      watch_(tree.watch()),
      options_(options),
      self_(tree.self()),
      bell_(os::make_event()),
      outside_(*this),
      scheduler_([](void* core) { static_cast<Core*>(core)->wake(); }, this),
      scratch_(kScratchWords) {
  epoll_.add(tree.descriptor(), EPOLLIN, kTreeKey);
  epoll_.add(bell_.get(), EPOLLIN | EPOLLET, kBellKey);
}

Core::~Core() { end_actors(); }

void Core::end_actors() {
  const Inside inside(this);
  while (detail::Cell* cell = slots_.newest()) scheduler_.end(cell->shell);
  flush();
  bury();
}

void Core::loop(Until until) {
  const Inside inside(this);
  outside_.open();
  if (watch_) watch_->awake();
  Clock::time_point linger = Clock::time_point::max();
  while (true) {
    beat();
    const bool worked = pass() != 0;
    if (finished(until)) {
      if (owing_.empty()) break;
      if (linger == Clock::time_point::max()) {
        linger = Clock::now() + kLinger;
        questions_.set_deadline(questions_.open(Question::Kind::timer), linger);  // wakes us then at the latest
      }
      if (Clock::now() >= linger) break;
    }
    if (!worked) idle();
  }
  if (watch_) watch_->asleep();
  outside_.close();
  fail(questions_.select([](const Question& question) { return question.waiter != nullptr; }), kNodeEnded);
}

bool Core::finished(Until until) {
  return aborted_ || (slots_.size() == 0 && (stopping_ || until == Until::empty));
}

// Everything that can be done now, in bounded portions; how much that was.
std::size_t Core::pass() {
  bury();
  sent_in_pass_ = false;
  std::size_t frames = 0;
  for (std::size_t i = 0; i < active_.size(); ++i) {
    if (!active_[i]->lost) frames += drain(*active_[i], kDrainMax);
  }
  std::size_t done = frames + fail_unreachable() + scheduler_.run_jobs(kJobsMax) + fire_timers();
  if (outside_.has_work() || outside_.blocked()) done += outside_.take();
  if (stopping_) stop_next();
  push_owing();
  flush();
  if (done == 0) return 0;
  if (frames != 0 && frames < kFewFrames && !sent_in_pass_) {
    for (int i = 0; i < kPauses; ++i) _mm_pause();
  }
  if (++passes_since_poll_ >= kPassesPerPoll) poll(Clock::time_point{});
  return done;
}

std::size_t Core::fire_timers() {
  if (questions_.next_deadline() == Clock::time_point::max()) return 0;
  const auto now = Clock::now();
  std::size_t fired = 0;
  while (Question* question = questions_.expired(now)) {
    ++fired;
    if (question->kind == Question::Kind::lost_link) {
      const auto link = question->link;
      questions_.close(*question);
      fail(questions_.select([&](const Question& other) { return other.link == link; }),
           {Death::Cause::unreachable, 0, "its link was closed"});
    } else if (question->kind == Question::Kind::timer) {
      settle(*question, {.what = Event::What::timer, .death = {}, .found = {}});
    } else {
      settle(*question, {.what = Event::What::late, .death = {}, .found = {}});
    }
  }
  return fired;
}

void Core::idle() {
  if (!unreachable_.empty() || spin() || !arm()) return;
  asleep_.store(true, std::memory_order_seq_cst);
  if (!outside_.has_work() && !scheduler_.has_jobs()) {
    if (watch_) watch_->asleep();
    poll(wake_at());
    if (watch_) watch_->awake();
  }
  asleep_.store(false, std::memory_order_relaxed);
}

// When there is something to do though nobody says so.
Clock::time_point Core::wake_at() {
  auto moment = questions_.next_deadline();
  for (Link* link : owing_)
    if (!link->lost) moment = std::min(moment, link->transport().retry_at());
  return moment;
}

// Waits a little for a peer that runs on another CPU; true when there is something to do.
bool Core::spin() {
  const bool worth_it = std::ranges::any_of(active_, [](Link* link) { return !link->lost && link->transport().peer_on_other_cpu(); });
  if (!worth_it) return false;
  const auto end = std::min(Clock::now() + kSpin, questions_.next_deadline());
  do {
    for (int i = 0; i < kLooksPerClock; ++i) {
      for (Link* link : active_) {
        if (!link->lost && link->readable()) return true;
      }
      if (outside_.has_work() || scheduler_.has_jobs()) return true;
      if (!owing_.empty()) push_owing();
      _mm_pause();
    }
  } while (Clock::now() < end);
  return false;
}

// Tells all peers that we go to sleep; false if one has sent something meanwhile.
bool Core::arm() {
  std::size_t kept = 0;
  for (Link* link : active_) {
    if (link->lost) continue;
    if (link->transport().arm()) {
      link->active = false;
    } else {
      active_[kept++] = link;
    }
  }
  active_.resize(kept);
  for (Link* link : active_) link->transport().disarm();
  return active_.empty();
}

void Core::poll(Clock::time_point deadline) {
  passes_since_poll_ = 0;
  std::array<epoll_event, 64> room;
  for (const epoll_event& event : epoll_.wait(room, deadline)) take_event(event.data.u64);
}

void Core::take_event(std::uint64_t key) {
  if (key == kTreeKey) return tree_.pump(*this);
  if (key == kBellKey) return;
  const auto found = links_.find(key / 2);
  if (found == links_.end()) return;
  Link& link = *found->second;
  if (key % 2 == 1) link.transport().hang_up();
  activate(link);
}

void Core::wake() {
  if (asleep_.exchange(false, std::memory_order_seq_cst)) os::ring_event(bell_);
}

// Giving back the memory of a link takes longer than all else that the death of a process makes us do, and there may be many who
// are to hear of it: first all are told.
void Core::lay_to_rest() {
  for (auto& link : dead_links_) {
    if (!link->may_rest || resting_links_.size() >= kRestingMax) continue;
    if (resting_links_.empty()) {
      rest_until_ = Clock::now() + kRest;
      questions_.set_deadline(questions_.open(Question::Kind::timer), rest_until_);  // wakes us then at the latest
    }
    resting_links_.push_back(std::move(link));
  }
}

// Frees what was in use when it ended.
void Core::bury() {
  if (!dead_links_.empty()) {
    const auto lost = [](Link* link) { return link->lost; };
    std::erase_if(active_, lost);
    std::erase_if(dirty_, lost);
    std::erase_if(owing_, lost);
    lay_to_rest();
    dead_links_.clear();
    dead_peers_.clear();
  }
  if (!resting_links_.empty() && Clock::now() >= rest_until_) resting_links_.clear();
  dead_peers_.clear();
  dead_cells_.clear();
  if (scratch_.size() > kScratchWordsMax) {
    scratch_ = std::vector<capnp::word>(kScratchWords);
  }
}

}  // namespace troupe::node
