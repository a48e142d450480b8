#include "node/questions.h"

#include <fmt/format.h>

#include <utility>

#include "node/outside.h"

namespace troupe::node {

namespace {

std::string in_units(Duration duration) {
  const auto count = duration.count();
  if (count % 1'000'000'000 == 0) return fmt::format("{}s", count / 1'000'000'000);
  if (count % 1'000'000 == 0) return fmt::format("{}ms", count / 1'000'000);
  return count % 1000 == 0 ? fmt::format("{}us", count / 1000) : fmt::format("{}ns", count);
}

}  // namespace

std::string Asking::unanswered(const Address& by) const {
  if (request) return fmt::format("no answer to {} from actor {}", request(), to_string(by));
  return fmt::format("actor `{}` is down", name.empty() ? to_string(by) : name);
}

std::string Asking::late(const Address& by, Duration timeout) const {
  return fmt::format("{} within {}", request ? unanswered(by) : fmt::format("no actor `{}`", name), in_units(timeout));
}

std::string Question::unanswered() const { return waiter ? waiter->unanswered() : asking.unanswered(target); }

Question& Questions::open(Question::Kind kind, CellId owner, std::uint32_t& list) {
  if (free_.empty()) {
    free_.push_back(static_cast<std::uint32_t>(questions_.size()));
    questions_.emplace_back().index = free_.back();
  }
  Question& question = questions_[free_.back()];
  free_.pop_back();
  if (++question.generation == 0) ++question.generation;  // so that no number is 0
  question.kind = kind;
  question.owner = owner;
  question.after = list;
  if (list != Question::kNone) questions_[list].before = question.index;
  list = question.index;
  return question;
}

Question* Questions::find(std::uint64_t id) {
  const auto index = static_cast<std::uint32_t>(id);
  if (index >= questions_.size()) return nullptr;
  Question& question = questions_[index];
  return question.kind != Question::Kind::free && question.generation == id >> 32 ? &question : nullptr;
}

void Questions::close(Question& question, std::uint32_t& list) {
  drop_deadline(question);
  if (question.before != Question::kNone) questions_[question.before].after = question.after;
  if (question.after != Question::kNone) questions_[question.after].before = question.before;
  if (list == question.index) list = question.after;
  const auto index = question.index;
  const auto generation = question.generation;
  // What it holds goes last: its destructor may open and close others.
  const auto then = std::exchange(question.then, nullptr);
  const auto waiter = std::exchange(question.waiter, nullptr);
  question = Question{};
  question.index = index;
  question.generation = generation;
  free_.push_back(index);
}

void Questions::set_deadline(Question& question, Clock::time_point deadline) {
  drop_deadline(question);
  if (deadline == Clock::time_point::max()) return;
  question.deadline = deadline;
  heap_.push_back(question.index);
  question.heap_at = static_cast<std::uint32_t>(heap_.size() - 1);
  sift_up(question.heap_at);
}

void Questions::drop_deadline(Question& question) {
  const std::size_t at = question.heap_at;
  if (at == Question::kNone) return;
  question.heap_at = Question::kNone;
  const std::uint32_t last = heap_.back();
  heap_.pop_back();
  if (at == heap_.size()) return;
  place(at, last);
  sift_up(at);
  sift_down(questions_[last].heap_at);
}

Question* Questions::expired(Clock::time_point now) {
  if (heap_.empty()) return nullptr;
  Question& first = questions_[heap_.front()];
  if (first.deadline > now) return nullptr;
  drop_deadline(first);
  return &first;
}

void Questions::place(std::size_t at, std::uint32_t index) {
  heap_[at] = index;
  questions_[index].heap_at = static_cast<std::uint32_t>(at);
}

void Questions::sift_up(std::size_t at) {
  const std::uint32_t index = heap_[at];
  for (; at > 0 && sooner(index, heap_[(at - 1) / 2]); at = (at - 1) / 2) place(at, heap_[(at - 1) / 2]);
  place(at, index);
}

void Questions::sift_down(std::size_t at) {
  const std::uint32_t index = heap_[at];
  for (std::size_t child = 2 * at + 1; child < heap_.size(); child = 2 * at + 1) {
    if (child + 1 < heap_.size() && sooner(heap_[child + 1], heap_[child])) ++child;
    if (!sooner(heap_[child], index)) break;
    place(at, heap_[child]);
    at = child;
  }
  place(at, index);
}

}  // namespace troupe::node
