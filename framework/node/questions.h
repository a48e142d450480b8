#pragma once

#include <troupe/ask.h>
#include <troupe/duration.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "node/letter.h"

namespace troupe::node {

// What is asked, for those who read that there is no answer.
struct Asking {
  detail::NameOf request = nullptr;  // null: who has a name is
  std::string name = {};

  // "no answer to Get from actor 5.0.1"; "actor `tally` is down".
  [[nodiscard]] std::string unanswered(const Address& by) const;
  // "no answer to Get from actor 5.0.1 within 100ms"; "no actor `tally` within 100ms".
  [[nodiscard]] std::string late(const Address& by, Duration timeout) const;
};

// Something that an actor, or a thread that is none, waits for.
struct Question {
  enum class Kind : std::uint8_t { free, ask, monitor, name, timer, lost_link };
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};

  [[nodiscard]] std::uint64_t id() const { return std::uint64_t{generation} << 32 | index; }
  [[nodiscard]] std::string unanswered() const;

  std::uint32_t index = 0;
  std::uint32_t generation = 0;
  Kind kind = Kind::free;
  bool settled = false;  // its answer lies in the mailbox of its owner
  CellId owner;          // generation 0: a thread, or the node itself
  Address target;        // who was asked or is monitored
  Asking asking;         // for a waiter, it has it
  Duration timeout{};
  std::uint64_t link = 0;  // that the question went over
  Function<void(const detail::Outcome&)> then;
  std::shared_ptr<detail::Waiter> waiter;
  Clock::time_point deadline = Clock::time_point::max();
  Duration period{};
  std::uint32_t heap_at = kNone;  // where in the heap of deadlines
  std::uint32_t before = kNone;   // the other questions of its owner
  std::uint32_t after = kNone;
};

// All questions of a node, by number, and their deadlines in order. A number is never used again: it holds a generation.
//
// Threads: the node's.
class Questions {
 public:
  // A new one; `list` is the first question of its owner, or kNone, and becomes this one.
  Question& open(Question::Kind kind, CellId owner, std::uint32_t& list);
  Question& open(Question::Kind kind) { return open(kind, {}, nobody_); }
  // Null if it is closed.
  Question* find(std::uint64_t id);
  // Forgets it, and all that it holds.
  void close(Question& question, std::uint32_t& list);
  void close(Question& question) { close(question, nobody_); }

  void set_deadline(Question& question, Clock::time_point deadline);
  void drop_deadline(Question& question);
  [[nodiscard]] Clock::time_point next_deadline() const {
    return heap_.empty() ? Clock::time_point::max() : questions_[heap_.front()].deadline;
  }
  // One whose deadline has passed, with that taken from it, or null.
  Question* expired(Clock::time_point now);

  // The numbers of those that `choose` takes; to be found again, for handling one may close others.
  template <class Choose>
  std::vector<std::uint64_t> select(Choose&& choose) const {
    std::vector<std::uint64_t> ids;
    for (const Question& question : questions_) {
      if (question.kind != Question::Kind::free && choose(question)) ids.push_back(question.id());
    }
    return ids;
  }
  Question& at(std::uint32_t index) { return questions_[index]; }

 private:
  void place(std::size_t at, std::uint32_t index);
  void sift_up(std::size_t at);
  void sift_down(std::size_t at);
  [[nodiscard]] bool sooner(std::uint32_t a, std::uint32_t b) const { return questions_[a].deadline < questions_[b].deadline; }

  std::deque<Question> questions_;
  std::vector<std::uint32_t> free_;
  std::vector<std::uint32_t> heap_;
  std::uint32_t nobody_ = Question::kNone;
};

}  // namespace troupe::node
